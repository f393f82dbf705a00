"""OpenAI Responses: POST {base}/responses, a stream of typed events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prober.providers import openai
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
    object_of,
    parse_json,
    post,
    text_of,
)
from prober.providers.sse import Message, Messages

# The API refuses fewer.
LEAST_TOKENS = 16
INCOMPLETE = {"max_output_tokens": Stop.LENGTH, "content_filter": Stop.REFUSAL}
REASONING = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})


def build(target: Target, prompt: str, max_tokens: int) -> Request:
    body = {
        "model": target.model,
        "input": prompt,
        "max_output_tokens": max(LEAST_TOKENS, max_tokens),
        "stream": True,
        "store": False,
    }
    return post(f"{target.base_url}/responses", target, body, bearer(target))


def events(message: Message) -> Iterator[Event]:
    parsed = parse_json(message.data)
    said = object_of(parsed)
    # An event that came only in part says nothing by its name alone.
    name = message.event if parsed is not None or message.event == "error" else ""
    match text_of(said.get("type", name)):
        case "response.output_text.delta":
            yield Text(text_of(said.get("delta")))
        case "response.refusal.delta":
            yield Stopped(Stop.REFUSAL)
        case kind if kind in REASONING:
            yield Reasoning()
        case "response.completed" | "response.incomplete":
            response = object_of(said.get("response"))
            yield _usage(object_of(response.get("usage")))
            reason = object_of(response.get("incomplete_details")).get("reason")
            yield Stopped(INCOMPLETE.get(text_of(reason), Stop.END))
            yield Terminal()
        case "response.failed":
            yield _problem(object_of(object_of(said.get("response")).get("error")))
        case "error":
            # Flat by the SDK's types; some servers nest it as everywhere else.
            yield _problem(error_object(message.data))
        case _:
            yield _problem(error_object(message.data)) if said.get("error") else Other()


def _problem(error: dict[str, Any]) -> Problem:
    return Problem(tuple(codes(error)), text_of(error.get("message")))


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
    default_base_url=openai.ADAPTER.default_base_url,
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    catalogue=openai.ADAPTER.catalogue,
)
