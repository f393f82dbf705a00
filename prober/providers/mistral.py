"""Mistral: POST {base}/v1/chat/completions, OpenAI's stream with words of its own."""

from __future__ import annotations

from typing import Any

from prober.providers import openai
from prober.providers.adapter import Adapter
from prober.providers.events import Endpoint, HttpRequest, bearer, get, post
from prober.providers.model_list import UNREADABLE, Catalogue, Listing, day_of, find
from prober.providers.sse import Messages


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
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


def _models(target: Endpoint) -> HttpRequest:
    return get(f"{target.base_url}/v1/models", target, bearer(target))


def _listing(body: bytes, model: str) -> Listing:
    row = find(body, "data", model, ("id", "aliases"))
    if row is None:
        return UNREADABLE
    retires = day_of(row.get("deprecation"))
    return Listing(found=bool(row), deprecated=retires is not None, retires=retires)


ADAPTER = Adapter(
    api="mistral",
    build=build,
    framing=Messages,
    events=openai.events,
    codes=codes,
    request_id_headers=("mistral-correlation-id", "x-kong-request-id", "x-request-id"),
    catalogue=Catalogue(_models, _listing),
)
