"""How a client without an SDK asks each API, and how it reads what comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

KEY = "sk-canary-secret"


@dataclass(frozen=True)
class Wire:
    """One API as a client sees it: how to ask, and how to read what comes."""

    path: str
    whole_path: str
    headers: dict[str, str]
    body: Callable[[str, str, bool], dict[str, Any]]
    texts: Callable[[dict[str, Any]], list[str]]
    stops: Callable[[dict[str, Any]], list[str]]
    whole_text: Callable[[dict[str, Any]], str]
    marker: bytes
    params: dict[str, str] = field(default_factory=dict)


def messages(model: str, prompt: str, stream: bool) -> dict[str, Any]:
    said = [{"role": "user", "content": prompt}]
    return {"model": model, "max_tokens": 16, "stream": stream, "messages": said}


def with_usage(model: str, prompt: str, stream: bool) -> dict[str, Any]:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {**messages(model, prompt, stream), **options}


def found(value: Any) -> list[Any]:
    return [value] if value else []


def candidate(event: dict[str, Any]) -> dict[str, Any]:
    return event.get("candidates", [{}])[0]


def parts(event: dict[str, Any]) -> list[str]:
    return [part["text"] for part in candidate(event).get("content", {}).get("parts", [])]


def choice(event: dict[str, Any]) -> dict[str, Any]:
    return (event.get("choices") or [{}])[0]


WIRES = {
    "anthropic": Wire(
        path="/v1/messages",
        whole_path="/v1/messages",
        headers={"x-api-key": KEY, "anthropic-version": "2023-06-01"},
        body=messages,
        texts=lambda event: found(event.get("delta", {}).get("text")),
        stops=lambda event: found(event.get("delta", {}).get("stop_reason")),
        whole_text=lambda body: "".join(block["text"] for block in body["content"]),
        marker=b"event: message_stop\n",
    ),
    "openai": Wire(
        path="/v1/chat/completions",
        whole_path="/v1/chat/completions",
        headers={"authorization": f"Bearer {KEY}"},
        body=with_usage,
        texts=lambda event: found(choice(event).get("delta", {}).get("content")),
        stops=lambda event: found(choice(event).get("finish_reason")),
        whole_text=lambda body: choice(body)["message"]["content"],
        marker=b"data: [DONE]\n",
    ),
    "gemini": Wire(
        path="/v1beta/models/m:streamGenerateContent",
        whole_path="/v1beta/models/m:generateContent",
        headers={"x-goog-api-key": KEY},
        body=lambda model, prompt, stream: {"contents": [{"parts": [{"text": prompt}]}]},
        texts=lambda event: [text for text in parts(event) if text],
        stops=lambda event: found(candidate(event).get("finishReason")),
        whole_text=lambda body: "".join(parts(body)),
        marker=b'"finishReason":',
        params={"alt": "sse"},
    ),
    "ollama": Wire(
        path="/api/chat",
        whole_path="/api/chat",
        headers={},
        body=messages,
        texts=lambda event: found(event.get("message", {}).get("content")),
        stops=lambda event: found(event.get("done_reason")),
        whole_text=lambda body: body["message"]["content"],
        marker=b'"done":true',
    ),
}
NAMES = list(WIRES)


@dataclass(frozen=True)
class Asker:
    """A client without an SDK: asks one API for the answer to a canary."""

    api: str
    client: httpx.Client

    @property
    def wire(self) -> Wire:
        return WIRES[self.api]

    def request(self, *, stream: bool = True, model: str = "m", **changes: Any) -> httpx.Request:
        path = self.wire.path if stream else self.wire.whole_path
        path = path.replace("models/m:", f"models/{model}:")
        request = {
            "headers": self.wire.headers,
            "params": self.wire.params,
            "json": self.wire.body(model, "n0nce-42 repeat it", stream),
            **changes,
        }
        return self.client.build_request("POST", path, **request)

    def ask(self, *, stream: bool = True, model: str = "m", **changes: Any) -> httpx.Response:
        return self.client.send(self.request(stream=stream, model=model, **changes))

    def events(self, body: bytes) -> list[dict[str, Any]]:
        lines = [line.removeprefix("data: ") for line in body.decode().splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def texts(self, body: bytes) -> list[str]:
        return [text for event in self.events(body) for text in self.wire.texts(event)]

    def stops(self, body: bytes) -> list[str]:
        return [stop for event in self.events(body) for stop in self.wire.stops(event)]
