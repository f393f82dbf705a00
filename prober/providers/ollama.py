"""Ollama: POST {base}/api/chat, newline-delimited JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from prober.providers.adapter import Adapter, Ndjson, failure_in_stream
from prober.providers.base import (
    Event,
    Other,
    Reasoning,
    Request,
    Stop,
    Stopped,
    Target,
    Terminal,
    Text,
    Usage,
    count_of,
    object_of,
    parse_json,
    text_of,
)
from prober.providers.sse import Message

STOPS = {"stop": Stop.END, "length": Stop.LENGTH}


def build(target: Target, prompt: str, max_tokens: int) -> Request:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": True,
        "think": False,
        "options": {"num_predict": max_tokens},
    }
    headers = {"content-type": "application/json"}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    headers.update(target.headers)
    return Request("POST", f"{target.base_url}/api/chat", headers, json.dumps(body).encode())


def events(message: Message) -> Iterator[Event]:
    said = object_of(parse_json(message.data))
    if error := said.get("error"):
        yield failure_in_stream("ollama", 200, [], str(error))
        return
    answer = object_of(said.get("message"))
    if text := text_of(answer.get("content")):
        yield Text(text)
    else:
        yield Reasoning() if answer.get("thinking") else Other()
    if said.get("done") is True:
        yield Usage(
            input=count_of(said.get("prompt_eval_count")), output=count_of(said.get("eval_count"))
        )
        yield Stopped(STOPS.get(text_of(said.get("done_reason")), Stop.END))
        yield Terminal()


def codes(error: dict[str, Any]) -> list[str]:
    """Ollama names its errors by status and sentence alone."""
    return []


ADAPTER = Adapter(
    api="ollama",
    default_base_url="http://127.0.0.1:11434",
    build=build,
    framing=Ndjson,
    events=events,
    codes=codes,
)
