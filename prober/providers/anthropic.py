"""Anthropic Messages: POST {base}/v1/messages, version 2023-06-01."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from prober.providers import finish
from prober.providers.adapter import Adapter
from prober.providers.events import (
    Endpoint,
    HttpRequest,
    Other,
    Reasoning,
    StreamEvent,
    StreamProblem,
    Terminal,
    Text,
    Usage,
    count_of,
    error_object,
    get,
    object_of,
    parse_json,
    post,
    text_of,
)
from prober.providers.model_list import UNREADABLE, Catalogue, Listing, day_of
from prober.providers.sse import Message, Messages


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    content = {"model": target.model, **body(prompt, max_tokens)}
    return post(f"{target.base_url}/v1/messages", target, content, _headers(target))


def body(prompt: str, max_tokens: int) -> dict[str, Any]:
    return {
        "max_tokens": max_tokens,
        "stream": True,
        "messages": [{"role": "user", "content": prompt}],
    }


def _headers(target: Endpoint) -> dict[str, str]:
    key = {"x-api-key": target.key} if target.key else {}
    return {"anthropic-version": "2023-06-01", **key}


SILENT = frozenset({"ping", "content_block_stop"})


def events(message: Message) -> Iterator[StreamEvent]:
    if message.event in SILENT:
        yield Other()
        return
    parsed = parse_json(message.data)
    event = object_of(parsed)
    # An event that came only in part says nothing by its name alone, an error apart.
    failed = message.event == "error" or event.get("error")
    match "error" if failed else event.get("type", message.event if parsed is not None else ""):
        case "content_block_delta":
            yield _delta(object_of(event.get("delta")))
        case "content_block_start":
            block = object_of(event.get("content_block"))
            # Empty with Anthropic; other servers begin the text there.
            text = text_of(block.get("text")) if block.get("type") == "text" else ""
            yield Text(text) if text else Other()
        case "message_start":
            yield _usage(object_of(object_of(event.get("message")).get("usage")))
        case "message_delta":
            yield _usage(object_of(event.get("usage")))
            if ended := finish.stopped(object_of(event.get("delta")).get("stop_reason")):
                yield ended
        case "message_stop":
            yield Terminal()
        case "error":
            error = error_object(message.data)
            yield StreamProblem(tuple(codes(error)), text_of(error.get("message")))
        case _:
            yield Other()


def _delta(delta: dict[str, Any]) -> StreamEvent:
    match delta.get("type"):
        case "text_delta":
            return Text(text_of(delta.get("text")))
        case "thinking_delta":
            return Reasoning()
        case _:
            return Other()


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input=count_of(usage.get("input_tokens")),
        output=count_of(usage.get("output_tokens")),
        reasoning=count_of(object_of(usage.get("output_tokens_details")).get("thinking_tokens")),
        cached=count_of(usage.get("cache_read_input_tokens")),
    )


def codes(error: dict[str, Any]) -> list[str]:
    identifiers = [error.get("type"), object_of(error.get("details")).get("error_code")]
    return [code for code in identifiers if isinstance(code, str)]


def _model(target: Endpoint) -> HttpRequest:
    # The list holds no aliases; asking for one model resolves them.
    model = quote(target.model, safe="")
    return get(f"{target.base_url}/v1/models/{model}", target, _headers(target))


def _listing(body: bytes, model: str) -> Listing:
    row = object_of(parse_json(body))
    stage = row.get("lifecycle")
    if stage is None and "id" not in row:
        return UNREADABLE
    return Listing(
        found=stage != "retired",
        deprecated=stage == "deprecated",
        retires=day_of(row.get("retires_at")),
    )


ADAPTER = Adapter(
    api="anthropic",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    request_id_headers=("request-id", "x-request-id"),
    catalogue=Catalogue(_model, _listing, single=True),
)
