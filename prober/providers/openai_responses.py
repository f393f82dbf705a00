"""OpenAI Responses: POST {base}/responses, a stream of typed events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prober.providers import finish, openai
from prober.providers.adapter import Adapter
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
    error_object,
    object_of,
    parse_json,
    post,
    text_of,
)
from prober.providers.sse import Message, Messages

# The API refuses fewer.
LEAST_TOKENS = 16
REASONING = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})
ENDS = frozenset(
    f"response.{status}" for status in ("completed", "incomplete", "failed", "cancelled")
)


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    body = {
        "model": target.model,
        "input": prompt,
        "max_output_tokens": max(LEAST_TOKENS, max_tokens),
        "stream": True,
        "store": False,
    }
    return post(f"{target.base_url}/responses", target, body, bearer(target))


def events(message: Message) -> Iterator[StreamEvent]:
    parsed = parse_json(message.data)
    event = object_of(parsed)
    if message.event == "error":  # whatever the type of the error is
        yield _problem(error_object(message.data))
        return
    # An event that came only in part says nothing by its name alone.
    match text_of(event.get("type", message.event if parsed is not None else "")):
        case "response.output_text.delta":
            yield Text(text_of(event.get("delta")))
        case "response.refusal.delta":
            yield Stopped(Stop.REFUSAL, "refusal")
        case kind if kind in REASONING:
            yield Reasoning()
        case kind if kind in ENDS:
            yield from _end(kind, object_of(event.get("response")))
        case "error":
            # Flat by the SDK's types; some servers nest it as everywhere else.
            yield _problem(error_object(message.data))
        case _:
            yield _problem(error_object(message.data)) if event.get("error") else Other()


def _end(kind: str, response: dict[str, Any]) -> Iterator[StreamEvent]:
    yield _usage(object_of(response.get("usage")))
    if error := object_of(response.get("error")):
        yield _problem(error)
        return
    reason = object_of(response.get("incomplete_details")).get("reason")
    if ended := finish.stopped(reason or response.get("status") or kind.rpartition(".")[2]):
        yield ended
    yield Terminal()


def _problem(error: dict[str, Any]) -> StreamProblem:
    return StreamProblem(tuple(codes(error)), text_of(error.get("message")))


def codes(error: dict[str, Any]) -> list[str]:
    # A flat error's type is the event's own name.
    return [code for code in openai.codes(error) if code != "error"]


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input=count_of(usage.get("input_tokens")),
        output=count_of(usage.get("output_tokens")),
        reasoning=count_of(object_of(usage.get("output_tokens_details")).get("reasoning_tokens")),
        cached=count_of(object_of(usage.get("input_tokens_details")).get("cached_tokens")),
    )


ADAPTER = Adapter(
    api="openai-responses",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    catalogue=openai.ADAPTER.catalogue,
)
