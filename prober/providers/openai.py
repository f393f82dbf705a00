"""OpenAI Chat Completions: POST {base}/chat/completions, and every server that speaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from prober.providers.adapter import Adapter, failure_in_stream
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
    error_object,
    object_of,
    parse_json,
    text_of,
)
from prober.providers.sse import Message, Messages

STOPS = {
    "stop": Stop.END,
    "length": Stop.LENGTH,
    "content_filter": Stop.REFUSAL,
    "error": Stop.ERROR,
}


def build(target: Target, prompt: str, max_tokens: int) -> Request:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        target.max_tokens_field: max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"content-type": "application/json"}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    headers.update(target.headers)
    url = f"{target.base_url}/chat/completions"
    return Request("POST", url, headers, json.dumps(body).encode())


def events(message: Message) -> Iterator[Event]:
    if message.data.strip() == b"[DONE]":
        yield Terminal()
        return
    said = object_of(parse_json(message.data))
    if said.get("error") or message.event == "error":
        error = error_object(message.data)
        status = error.get("code") if isinstance(error.get("code"), int) else 200
        yield failure_in_stream(
            "openai", status or 200, codes(error), text_of(error.get("message"))
        )
        return
    choices = said.get("choices")
    choice = object_of(choices[0]) if isinstance(choices, list) and choices else {}
    yield _delta(object_of(choice.get("delta")))
    finish = choice.get("finish_reason")
    if isinstance(finish, str):
        yield Stopped(STOPS.get(finish, Stop.END))
    if usage := object_of(said.get("usage")):
        yield _usage(usage)


def _delta(delta: dict[str, Any]) -> Event:
    if text := text_of(delta.get("content")):
        return Text(text)
    # vLLM and others say reasoning_content, OpenRouter says reasoning.
    if delta.get("reasoning_content") or delta.get("reasoning"):
        return Reasoning()
    return Stopped(Stop.REFUSAL) if delta.get("refusal") else Other()


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input=count_of(usage.get("prompt_tokens")),
        output=count_of(usage.get("completion_tokens")),
        reasoning=count_of(
            object_of(usage.get("completion_tokens_details")).get("reasoning_tokens")
        ),
        cached=count_of(object_of(usage.get("prompt_tokens_details")).get("cached_tokens")),
    )


def codes(error: dict[str, Any]) -> list[str]:
    return [code for code in (error.get("code"), error.get("type")) if isinstance(code, str)]


ADAPTER = Adapter(
    api="openai",
    default_base_url="https://api.openai.com/v1",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
)
