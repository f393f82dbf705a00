"""OpenAI Chat Completions: POST {base}/chat/completions, and every server that speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prober.providers.adapter import Adapter
from prober.providers.base import (
    Event,
    Other,
    Problem,
    Reasoning,
    Request,
    Stop,
    Stopped,
    Target,
    Terminal,
    Text,
    Usage,
    bearer,
    count_of,
    error_object,
    get,
    object_of,
    parse_json,
    post,
    text_of,
)
from prober.providers.catalogue import UNREADABLE, Catalogue, Listing, day_of, find
from prober.providers.sse import Message, Messages

STOPS = {
    "stop": Stop.END,
    "length": Stop.LENGTH,
    "content_filter": Stop.REFUSAL,
    "error": Stop.ERROR,
}


def build(target: Target, prompt: str, max_tokens: int) -> Request:
    url = f"{target.base_url}/chat/completions"
    return post(url, target, body(target, prompt, max_tokens), bearer(target))


def body(target: Target, prompt: str, max_tokens: int) -> dict[str, Any]:
    return {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        target.max_tokens_field: max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def events(message: Message) -> Iterator[Event]:
    if message.data.strip() == b"[DONE]":
        yield Terminal()
        return
    said = object_of(parse_json(message.data))
    if said.get("error") or message.event == "error":
        yield problem(error_object(message.data))
        return
    chosen = choice(said)
    yield _delta(object_of(chosen.get("delta")))
    finish = chosen.get("finish_reason")
    if isinstance(finish, str):
        yield Stopped(STOPS.get(finish, Stop.END))
    if usage := object_of(said.get("usage")):
        yield _usage(usage)


def choice(said: dict[str, Any]) -> dict[str, Any]:
    """The first choice; a usage chunk and Azure's first one have none."""
    choices = said.get("choices")
    return object_of(choices[0]) if isinstance(choices, list) and choices else {}


def problem(error: dict[str, Any]) -> Problem:
    """vLLM, OpenRouter and Azure give the HTTP status as the code."""
    code = str(error.get("code"))
    status = int(code) if len(code) == 3 and code.isascii() and code.isdigit() else 200
    return Problem(tuple(codes(error)), text_of(error.get("message")), status)


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


def models(target: Target) -> Request:
    return get(f"{target.base_url}/models", target, bearer(target))


def listing(body: bytes, model: str) -> Listing:
    """OpenAI names a `shutdown_date`, OpenRouter an `expiration_date`."""
    row = find(body, "data", model)
    if row is None:
        return UNREADABLE
    day = day_of(row.get("shutdown_date")) or day_of(row.get("expiration_date"))
    return Listing(found=bool(row), retires=day)


ADAPTER = Adapter(
    api="openai",
    default_base_url="https://api.openai.com/v1",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    catalogue=Catalogue(models, listing),
)
