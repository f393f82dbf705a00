"""Mistral: POST {base}/v1/chat/completions, OpenAI's stream with words of its own."""

from __future__ import annotations

from typing import Any

from prober.providers import openai
from prober.providers.adapter import Adapter
from prober.providers.base import (
    Request,
    Target,
    bearer,
    get,
    post,
)
from prober.providers.catalogue import UNREADABLE, Catalogue, Listing, day_of, find
from prober.providers.sse import Messages


def build(target: Target, prompt: str, max_tokens: int) -> Request:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "stream": True,
    }
    return post(f"{target.base_url}/v1/chat/completions", target, body, bearer(target))


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
    events=openai.events,
    codes=codes,
    request_id_headers=("mistral-correlation-id", "x-kong-request-id", "x-request-id"),
    catalogue=Catalogue(_models, _listing),
)
