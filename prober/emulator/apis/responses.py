"""OpenAI Responses: POST /v1/responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count

from prober.emulator.apis import openai
from prober.emulator.wire import (
    ApiCall,
    BadRequestError,
    Json,
    ModelAnswer,
    Refusal,
    StopReason,
    Stream,
    model_in,
    prompt_in,
    sse,
)

LIMIT = "max_output_tokens"
MIN_TOKENS = 16
# What it calls an error of its own, in a response that failed.
FAILED = "server_error"

NamedEvent = tuple[str, Json]


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    given, limit = body.get("input"), body.get(LIMIT)
    prompt = given if isinstance(given, str) else prompt_in({"messages": given})
    if isinstance(limit, int) and limit < MIN_TOKENS:
        raise BadRequestError(
            f"Invalid '{LIMIT}': integer below minimum value. "
            f"Expected a value >= {MIN_TOKENS}, but got {limit} instead."
        )
    return ApiCall(model_in(body), prompt, stream=body.get("stream") is True)


def stream(answer: ModelAnswer) -> Stream:
    # Every event has its number; those after the opening are made when their turn has come.
    numbers = count()

    def coded(events: Iterable[NamedEvent]) -> Iterator[bytes]:
        for kind, fields in events:
            yield _event(f"response.{kind}", next(numbers), fields)

    opening = tuple(coded(_opening(answer)))
    thoughts = list(coded(_thoughts(answer)))
    if thoughts:
        thoughts[-1] += b"".join(coded((*_thought(answer), *_message_begins(answer))))
    return Stream(opening, coded(_texts(answer)), coded(_closing(answer)), thoughts)


def _event(kind: str, number: int, fields: Json) -> bytes:
    return sse({"type": kind, "sequence_number": number, **fields}, kind)


def _opening(answer: ModelAnswer) -> Iterator[NamedEvent]:
    begun = _response(answer, "in_progress", [])
    yield "created", {"response": begun}
    yield "in_progress", {"response": begun}
    if answer.reasoning:
        item = {**_reasoning(answer), "summary": []}
        yield "output_item.added", {"output_index": 0, "item": item}
        part = {"type": "summary_text", "text": ""}
        yield "reasoning_summary_part.added", {**_summary_at(answer), "part": part}
    else:
        yield from _message_begins(answer)


def _thoughts(answer: ModelAnswer) -> Iterator[NamedEvent]:
    for one in answer.reasoning:
        yield "reasoning_summary_text.delta", {**_summary_at(answer), "delta": one}


def _thought(answer: ModelAnswer) -> Iterator[NamedEvent]:
    item, place = _reasoning(answer), _summary_at(answer)
    yield "reasoning_summary_text.done", {**place, "text": answer.reasoned}
    yield "reasoning_summary_part.done", {**place, "part": item["summary"][0]}
    yield "output_item.done", {"output_index": 0, "item": item}


def _message_begins(answer: ModelAnswer) -> Iterator[NamedEvent]:
    if answer.stop is StopReason.LENGTH:
        return
    place = _message_at(answer)
    item = {**_message(answer), "status": "in_progress", "content": []}
    yield "output_item.added", {"output_index": place["output_index"], "item": item}
    yield "content_part.added", {**place, "part": _part(answer, "")}


def _texts(answer: ModelAnswer) -> Iterator[NamedEvent]:
    place = _message_at(answer)
    for piece in answer.pieces:
        yield "output_text.delta", {**place, "delta": piece, "logprobs": []}


def _closing(answer: ModelAnswer) -> Iterator[NamedEvent]:
    if answer.stop is not StopReason.LENGTH:
        place, item = _message_at(answer), _message(answer)
        if answer.refusal:
            yield "refusal.delta", {**place, "delta": answer.refusal}
            yield "refusal.done", {**place, "refusal": answer.refusal}
        else:
            yield "output_text.done", {**place, "text": answer.text, "logprobs": []}
        yield "content_part.done", {**place, "part": item["content"][0]}
        yield "output_item.done", {"output_index": place["output_index"], "item": item}
    end = whole(answer)
    yield end["status"], {"response": end}


def whole(answer: ModelAnswer) -> Json:
    output = [_reasoning(answer)] if answer.reasoning else []
    if answer.stop is StopReason.LENGTH:
        return _response(answer, "incomplete", output)
    return _response(answer, "completed", [*output, _message(answer)])


def _response(answer: ModelAnswer, status: str, output: list[Json]) -> Json:
    incomplete = {"reason": LIMIT} if status == "incomplete" else None
    return {
        "id": f"resp_{answer.stamp.id}",
        "object": "response",
        "created_at": answer.stamp.unix,
        "status": status,
        "error": None,
        "incomplete_details": incomplete,
        "model": answer.call.model,
        "output": output,
        "parallel_tool_calls": True,
        "store": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": None if status == "in_progress" else _usage(answer),
    }


def _usage(answer: ModelAnswer) -> Json:
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _reasoning(answer: ModelAnswer) -> Json:
    summary = [{"type": "summary_text", "text": answer.reasoned}]
    return {"id": f"rs_{answer.stamp.id}", "type": "reasoning", "summary": summary}


def _summary_at(answer: ModelAnswer) -> Json:
    return {"item_id": f"rs_{answer.stamp.id}", "output_index": 0, "summary_index": 0}


def _message(answer: ModelAnswer) -> Json:
    return {
        "id": f"msg_{answer.stamp.id}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [_part(answer, answer.refusal or answer.text)],
    }


def _message_at(answer: ModelAnswer) -> Json:
    index = 1 if answer.reasoning else 0
    return {"item_id": f"msg_{answer.stamp.id}", "output_index": index, "content_index": 0}


def _part(answer: ModelAnswer, text: str) -> Json:
    if answer.refusal:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    """Either of the two ways to fail, by the status: 500 fails the response, others are events."""
    error = refusal.body["error"]
    begun = stream(answer)
    number = len(begun.opening) + len(begun.thoughts) + 1
    if refusal.status == 500:
        failed = _response(answer, "failed", [])
        failed["error"] = {"code": FAILED, "message": error["message"]}
        return _event("response.failed", number, {"response": failed})
    return _event("error", number, {key: error[key] for key in ("code", "message", "param")})


API = replace(
    openai.API,
    name="openai-responses",
    paths=("/v1/responses",),
    read=read,
    stream=stream,
    whole=whole,
    error_event=error_event,
)
