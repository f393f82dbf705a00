"""Gemini: POST {base}/v1beta/models/{model}:streamGenerateContent?alt=sse."""

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
    Stop,
    Stopped,
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

# Google's word for a model on its way out is LEGACY; a DEPRECATED one cannot be used any more.
GONE = frozenset({"DEPRECATED", "RETIRED"})


def build(target: Endpoint, prompt: str, max_tokens: int) -> HttpRequest:
    url = f"{_model_url(target)}:streamGenerateContent?alt=sse"
    return post(url, target, body(prompt, max_tokens), _key(target))


def body(prompt: str, max_tokens: int) -> dict[str, Any]:
    return {
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generationConfig": {"maxOutputTokens": max_tokens},
    }


def _model_url(target: Endpoint) -> str:
    model = quote(target.model.removeprefix("models/"), safe="")
    return f"{target.base_url}/v1beta/models/{model}"


def _key(target: Endpoint) -> dict[str, str]:
    # The key goes into a header: in the URL it would land in logs.
    return {"x-goog-api-key": target.key} if target.key else {}


def events(message: Message) -> Iterator[StreamEvent]:
    decoded = parse_json(message.data)
    # An error comes as bare JSON lines, alone or in a list, without `data:`.
    if message.bare or message.event == "error" or object_of(decoded).get("error"):
        error = error_object(message.data)
        status = error.get("code") if isinstance(error.get("code"), int) else 200
        yield StreamProblem(tuple(codes(error)), text_of(error.get("message")), status or 200)
        return
    decoded = object_of(decoded)
    candidates = decoded.get("candidates")
    candidate = object_of(candidates[0]) if isinstance(candidates, list) and candidates else {}
    yield from _parts(object_of(candidate.get("content")).get("parts"))
    if usage := object_of(decoded.get("usageMetadata")):
        yield _usage(usage)
    if blocked := object_of(decoded.get("promptFeedback")).get("blockReason"):
        yield Stopped(Stop.REFUSAL, str(blocked))
        yield Terminal()
    if ended := finish.stopped(candidate.get("finishReason")):
        # There is no [DONE]: the finish reason is the end marker. Some models say it in each chunk.
        yield ended
        yield Terminal(last=False)


def _parts(parts: Any) -> Iterator[StreamEvent]:
    for part in parts if isinstance(parts, list) else []:
        text = text_of(object_of(part).get("text"))
        if object_of(part).get("thought"):
            yield Reasoning()
        else:
            yield Text(text) if text else Other()


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input=count_of(usage.get("promptTokenCount")),
        output=_billed_output(usage),
        reasoning=count_of(usage.get("thoughtsTokenCount")),
        cached=count_of(usage.get("cachedContentTokenCount")),
    )


def _billed_output(usage: dict[str, Any]) -> int | None:
    """Thoughts come on top of the candidates here, and are billed as output."""
    visible = count_of(usage.get("candidatesTokenCount"))
    thoughts = count_of(usage.get("thoughtsTokenCount"))
    return None if visible is None and thoughts is None else (visible or 0) + (thoughts or 0)


def codes(error: dict[str, Any]) -> list[str]:
    """The status, the reasons in `details` and the ids of exceeded quotas."""
    details = error.get("details")
    identifiers: list[Any] = [error.get("status")]
    for entry in details if isinstance(details, list) else []:
        entry = object_of(entry)
        identifiers.append(entry.get("reason"))
        violations = entry.get("violations")
        identifiers += [
            object_of(violation).get("quotaId")
            for violation in (violations if isinstance(violations, list) else [])
        ]
    return [code for code in identifiers if isinstance(code, str)]


def _model(target: Endpoint) -> HttpRequest:
    return get(_model_url(target), target, _key(target))


def _listing(body: bytes, model: str) -> Listing:
    row = object_of(parse_json(body))
    if not isinstance(row.get("name"), str):
        return UNREADABLE
    status = object_of(row.get("modelStatus"))
    stage = text_of(status.get("modelStage"))
    return Listing(
        found=stage not in GONE,
        deprecated=stage == "LEGACY",
        retires=day_of(status.get("retirementTime")),
    )


ADAPTER = Adapter(
    api="gemini",
    build=build,
    framing=Messages,
    events=events,
    codes=codes,
    request_id_headers=("x-request-id", "x-goog-request-id"),
    catalogue=Catalogue(_model, _listing, single=True),
)
