"""Vertex AI: Gemini and Claude behind Google's project paths, with an OAuth token.

The token comes from google-auth (the extra `vertex`), or is the `key` itself. Gemini answers as
at Google's other door, Claude as Anthropic does; only the paths differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from prober.providers import anthropic, gemini
from prober.providers.adapter import Adapter
from prober.providers.events import (
    Endpoint,
    HttpRequest,
    StreamEvent,
    bearer,
    get,
    object_of,
    parse_json,
    post,
)
from prober.providers.model_list import UNREADABLE, Catalogue, Listing
from prober.providers.sse import Message, Messages

VERSION = "vertex-2023-10-16"


def is_claude(model: str) -> bool:
    return model.startswith("claude")


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    if is_claude(target.model):
        body: dict[str, Any] = {"anthropic_version": VERSION, **anthropic.body(prompt, max_tokens)}
        url = f"{_model_url(target, 'anthropic')}:streamRawPredict"
    else:
        body = gemini.body(prompt, max_tokens)
        url = f"{_model_url(target, 'google')}:streamGenerateContent?alt=sse"
    return post(url, target, body, bearer(target))


def _model_url(target: Endpoint, publisher: str) -> str:
    place = f"projects/{quote(target.project, safe='')}/locations/{quote(target.location, safe='')}"
    model = quote(target.model, safe="@")
    return f"{target.base_url}/v1/{place}/publishers/{publisher}/models/{model}"


def _model(target: Endpoint) -> HttpRequest:
    publisher = "anthropic" if is_claude(target.model) else "google"
    model = quote(target.model, safe="@")
    url = f"{target.base_url}/v1/publishers/{publisher}/models/{model}"
    return get(url, target, bearer(target))


def _listing(body: bytes, model: str) -> Listing:
    return Listing(True) if object_of(parse_json(body)).get("name") else UNREADABLE


def events(message: Message) -> Iterator[StreamEvent]:
    """Claude's messages name their event, Gemini's never do."""
    return anthropic.events(message) if message.event else gemini.events(message)


def codes(error: dict[str, Any]) -> list[str]:
    return [*gemini.codes(error), *anthropic.codes(object_of(error))]


ADAPTER = Adapter(
    api="vertex",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    request_id_headers=("x-request-id", "request-id", "x-goog-request-id"),
    catalogue=Catalogue(_model, _listing, single=True),
)
