"""Ollama: POST {base}/api/chat, newline-delimited JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prober.providers import finish
from prober.providers.adapter import Adapter, Ndjson
from prober.providers.events import (
    Endpoint,
    HttpRequest,
    Other,
    Reasoning,
    Stop,
    Stopped,
    StreamEvent,
    StreamProblem,
    Terminal,
    Text,
    Usage,
    bearer,
    count_of,
    get,
    object_of,
    parse_json,
    post,
    text_of,
)
from prober.providers.model_list import UNREADABLE, Catalogue, Listing, find

if TYPE_CHECKING:
    from prober.providers.sse import Message


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": True,
        "think": False,
        "options": {"num_predict": max_tokens},
    }
    return post(f"{target.base_url}/api/chat", target, body, bearer(target))


def events(message: Message) -> Iterator[StreamEvent]:
    chunk = object_of(parse_json(message.data))
    if error := chunk.get("error"):
        yield StreamProblem((), str(error))
        return
    answer = object_of(chunk.get("message"))
    if text := text_of(answer.get("content")):
        yield Text(text)
    else:
        yield Reasoning() if answer.get("thinking") else Other()
    if chunk.get("done") is True:
        yield Usage(
            input=count_of(chunk.get("prompt_eval_count")), output=count_of(chunk.get("eval_count"))
        )
        # Older servers name no reason for a plain end: `done` says it already.
        yield finish.stopped(chunk.get("done_reason")) or Stopped(Stop.END, "done")
        yield Terminal()


def codes(error: dict[str, Any]) -> list[str]:
    """Ollama names its errors by status and sentence alone."""
    return []


def _models(target: Endpoint) -> HttpRequest:
    return get(f"{target.base_url}/api/tags", target, bearer(target))


def _listing(body: bytes, model: str) -> Listing:
    """A name without a tag means its `latest`."""
    names = ("name", "model")
    row = find(body, "models", model, names)
    if not row and ":" not in model:
        row = find(body, "models", f"{model}:latest", names)
    return UNREADABLE if row is None else Listing(found=bool(row))


ADAPTER = Adapter(
    api="ollama",
    build=build,
    framing=Ndjson,
    events=events,
    codes=codes,
    catalogue=Catalogue(_models, _listing),
)
