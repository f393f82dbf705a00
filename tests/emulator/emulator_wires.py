"""How a client without an SDK asks each API, and how it reads what comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from botocore.eventstream import EventStreamBuffer

KEY = "sk-canary-secret"
BEARER = {"authorization": f"Bearer {KEY}"}
Event = dict[str, Any]


def lines(body: bytes) -> list[Event]:
    """Server-sent events or JSON lines; what is cut off is left out."""
    said = [line.removeprefix("data: ") for line in body.decode().splitlines()]
    return [json.loads(line) for line in said if line.startswith("{") and line.endswith("}")]


def frames(body: bytes) -> list[Event]:
    """Amazon's messages as its own SDK reads them, checksums included."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return [
        {message.headers.get(":event-type", "exception"): json.loads(message.payload)}
        for message in buffer
    ]


@dataclass(frozen=True)
class Wire:
    """One API as a client sees it: how to ask, and how to read what comes.

    Attributes:
        path, whole_path: with and without streaming; `{model}` stands for the model.
        markers: one of them ends a stream.
        error: what an error inside a stream holds.
        problem: the words of an error answer, from its body.
        api: its name in the rules; empty: as in WIRES.
        prefix: before the path, where another API has the same one.
        bad_request: the HTTP status of a malformed request.
    """

    path: str
    headers: dict[str, str]
    body: Callable[[str, str, bool], Event]
    texts: Callable[[Event], list[str]]
    stops: Callable[[Event], list[str]]
    whole_text: Callable[[Event], str]
    markers: tuple[bytes, ...]
    whole_path: str = ""
    thoughts: Callable[[Event], list[str]] = lambda event: []
    events: Callable[[bytes], list[Event]] = lines
    error: bytes = b'"error"'
    problem: Callable[[Event], Any] = lambda body: body["error"]
    api: str = ""
    prefix: str = ""
    bad_request: int = 400
    params: dict[str, str] = field(default_factory=dict)


def messages(model: str, prompt: str, stream: bool) -> Event:
    said = [{"role": "user", "content": prompt}]
    return {"model": model, "max_tokens": 16, "stream": stream, "messages": said}


def with_usage(model: str, prompt: str, stream: bool) -> Event:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {**messages(model, prompt, stream), **options}


def on_vertex(model: str, prompt: str, stream: bool) -> Event:
    body = {**messages(model, prompt, stream), "anthropic_version": "vertex-2023-10-16"}
    del body["model"]
    return body


def contents(model: str, prompt: str, stream: bool) -> Event:
    return {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}


def found(value: Any) -> list[Any]:
    return [value] if value else []


def delta(event: Event) -> Event:
    """Of Anthropic's events and of OpenAI's chunks."""
    choices = event.get("choices") or [event]
    return choices[0].get("delta") or {}


def finish(event: Event) -> list[str]:
    return found((event.get("choices") or [{}])[0].get("finish_reason"))


def candidate(event: Event) -> Event:
    return event.get("candidates", [{}])[0]


def parts(event: Event, thought: bool = False) -> list[str]:
    said = candidate(event).get("content", {}).get("parts", [])
    return [part["text"] for part in said if part.get("thought", False) is thought and part["text"]]


def blocks(event: Event) -> Event:
    return event.get("contentBlockDelta", {}).get("delta", {})


def only_text(value: Any) -> list[str]:
    return found(value if isinstance(value, str) else "")


def of_kind(event: Event, kind: str) -> list[str]:
    return found(event.get("delta") if event.get("type") == f"response.{kind}.delta" else None)


def response_stop(event: Event) -> list[str]:
    response = event.get("response", {})
    reason = (response.get("incomplete_details") or {}).get("reason")
    status = response.get("status")
    return found(reason or (status if status != "in_progress" else None))


CLAUDE: dict[str, Any] = {
    "texts": lambda event: found(delta(event).get("text")),
    "thoughts": lambda event: found(delta(event).get("thinking")),
    "stops": lambda event: found(delta(event).get("stop_reason")),
    "whole_text": lambda body: "".join(block.get("text", "") for block in body["content"]),
    "markers": (b"event: message_stop\n",),
}
CHUNKS: dict[str, Any] = {
    "texts": lambda event: only_text(delta(event).get("content")),
    "thoughts": lambda event: found(delta(event).get("reasoning_content")),
    "stops": finish,
    "whole_text": lambda body: body["choices"][0]["message"]["content"],
    "markers": (b"data: [DONE]\n",),
}
GEMINI: dict[str, Any] = {
    "body": contents,
    "texts": parts,
    "thoughts": lambda event: parts(event, thought=True),
    "stops": lambda event: found(candidate(event).get("finishReason")),
    "whole_text": lambda body: "".join(parts(body)),
    "markers": (b'"finishReason":',),
    "params": {"alt": "sse"},
}
PROJECT = "/v1/projects/p/locations/l/publishers"
WIRES = {
    "anthropic": Wire(
        path="/v1/messages",
        headers={"x-api-key": KEY, "anthropic-version": "2023-06-01"},
        body=messages,
        **CLAUDE,
    ),
    "openai": Wire(path="/v1/chat/completions", headers=BEARER, body=with_usage, **CHUNKS),
    "openai-responses": Wire(
        path="/v1/responses",
        headers=BEARER,
        body=lambda model, prompt, stream: {"model": model, "input": prompt, "stream": stream},
        texts=lambda event: of_kind(event, "output_text"),
        thoughts=lambda event: of_kind(event, "reasoning_summary_text"),
        stops=response_stop,
        whole_text=lambda body: body["output"][-1]["content"][0]["text"],
        markers=(b"event: response.completed\n", b"event: response.incomplete\n"),
        error=b"event: error\n",
    ),
    "mistral": Wire(
        path="/v1/chat/completions",
        prefix="/mistral",
        headers=BEARER,
        body=messages,
        **CHUNKS
        | {
            "thoughts": lambda event: [
                chunk["thinking"][0]["text"]
                for chunk in delta(event).get("content", [])
                if isinstance(chunk, dict)
            ],
            "problem": lambda body: body.get("message") or body["detail"],
            "bad_request": 422,
        },
    ),
    "azure-openai": Wire(
        path="/openai/v1/chat/completions", headers={"api-key": KEY}, body=with_usage, **CHUNKS
    ),
    "gemini": Wire(
        path="/v1beta/models/{model}:streamGenerateContent",
        whole_path="/v1beta/models/{model}:generateContent",
        headers={"x-goog-api-key": KEY},
        **GEMINI,
    ),
    "vertex": Wire(
        path=f"{PROJECT}/google/models/{{model}}:streamGenerateContent",
        whole_path=f"{PROJECT}/google/models/{{model}}:generateContent",
        headers=BEARER,
        **GEMINI,
    ),
    "vertex-claude": Wire(
        api="vertex",
        path=f"{PROJECT}/anthropic/models/{{model}}:streamRawPredict",
        whole_path=f"{PROJECT}/anthropic/models/{{model}}:rawPredict",
        headers=BEARER,
        body=on_vertex,
        **CLAUDE,
    ),
    "bedrock": Wire(
        path="/model/{model}/converse-stream",
        whole_path="/model/{model}/converse",
        headers=BEARER,
        body=lambda model, prompt, stream: {
            "messages": [{"role": "user", "content": [{"text": prompt}]}]
        },
        texts=lambda event: found(blocks(event).get("text")),
        thoughts=lambda event: found(blocks(event).get("reasoningContent", {}).get("text")),
        stops=lambda event: found(event.get("messageStop", {}).get("stopReason")),
        whole_text=lambda body: body["output"]["message"]["content"][-1]["text"],
        events=frames,
        markers=(b"messageStop",),
        error=b"serviceUnavailableException",
        problem=lambda body: body["message"],
    ),
    "ollama": Wire(
        path="/api/chat",
        headers={},
        body=messages,
        texts=lambda event: found(event.get("message", {}).get("content")),
        thoughts=lambda event: found(event.get("message", {}).get("thinking")),
        stops=lambda event: found(event.get("done_reason")),
        whole_text=lambda body: body["message"]["content"],
        markers=(b'"done":true',),
    ),
}
NAMES = list(WIRES)


@dataclass(frozen=True)
class Asker:
    """A client without an SDK: asks one API for the answer to a canary."""

    name: str
    client: httpx.Client

    @property
    def wire(self) -> Wire:
        return WIRES[self.name]

    @property
    def api(self) -> str:
        return self.wire.api or self.name

    def path(self, *, stream: bool = True, model: str = "m") -> str:
        path = self.wire.path if stream else self.wire.whole_path or self.wire.path
        return self.wire.prefix + path.format(model=quote(model, safe=""))

    def request(
        self,
        prompt: str = "n0nce-42 repeat it",
        *,
        stream: bool = True,
        model: str = "m",
        **changes: Any,
    ) -> httpx.Request:
        request = {
            "url": self.path(stream=stream, model=model),
            "headers": self.wire.headers,
            "params": self.wire.params,
            "json": self.wire.body(model, prompt, stream),
            **changes,
        }
        return self.client.build_request("POST", **request)

    def ask(self, prompt: str = "n0nce-42 repeat it", **changes: Any) -> httpx.Response:
        """With the settings of `request`."""
        return self.client.send(self.request(prompt, **changes))

    def texts(self, body: bytes) -> list[str]:
        return [text for event in self.wire.events(body) for text in self.wire.texts(event)]

    def thoughts(self, body: bytes) -> list[str]:
        return [text for event in self.wire.events(body) for text in self.wire.thoughts(event)]

    def stops(self, body: bytes) -> list[str]:
        return [stop for event in self.wire.events(body) for stop in self.wire.stops(event)]

    def ended(self, body: bytes) -> bool:
        return any(marker in body for marker in self.wire.markers)
