"""Mistral: POST {base}/v1/chat/completions, OpenAI's stream with words of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prober.providers import openai
from prober.providers.adapter import Adapter
from prober.providers.base import (
    Event,
    Problem,
    Reasoning,
    Request,
    Target,
    Text,
    bearer,
    count_of,
    get,
    object_of,
    parse_json,
    post,
    text_of,
)
from prober.providers.catalogue import UNREADABLE, Catalogue, Listing, day_of, find
from prober.providers.sse import Message, Messages


def build(target: Target, prompt: str, max_tokens: int) -> Request:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "stream": True,
    }
    return post(f"{target.base_url}/v1/chat/completions", target, body, bearer(target))


def events(message: Message) -> Iterator[Event]:
    """As OpenAI's; a reasoning model's content comes as a list of chunks."""
    said = object_of(parse_json(message.data))
    yield from _chunks(object_of(openai.choice(said).get("delta")).get("content"))
    if said.get("object") == "error":  # flat, without an `error` around it
        status = count_of(said.get("raw_status_code")) or 200
        yield Problem(tuple(codes(said)), text_of(said.get("message")), status)
        return
    yield from openai.events(message)


def _chunks(content: Any) -> Iterator[Event]:
    for chunk in content if isinstance(content, list) else []:
        chunk = object_of(chunk)
        if chunk.get("type") == "thinking":
            yield Reasoning()
        elif text := text_of(chunk.get("text")):
            yield Text(text)


def codes(error: dict[str, Any]) -> list[str]:
    """Numbers in strings ("1300") and types; a 422 has a list under `detail` and no codes."""
    return openai.codes(error)


def _models(target: Target) -> Request:
    return get(f"{target.base_url}/v1/models", target, bearer(target))


def _listing(body: bytes, model: str) -> Listing:
    row = find(body, "data", model, ("id", "aliases"))
    if row is None:
        return UNREADABLE
    retires = day_of(row.get("deprecation"))
    return Listing(found=bool(row), deprecated=retires is not None, retires=retires)


ADAPTER = Adapter(
    api="mistral",
    default_base_url="https://api.mistral.ai",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    request_id_headers=("mistral-correlation-id", "x-kong-request-id", "x-request-id"),
    catalogue=Catalogue(_models, _listing),
)
