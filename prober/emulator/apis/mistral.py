"""Mistral: POST /v1/chat/completions, below /mistral where OpenAI has the same path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prober.emulator.wire import (
    ApiCall,
    BadRequestError,
    EmulatedApi,
    Json,
    Model,
    ModelAnswer,
    RateHeaders,
    Refusal,
    RefusalKind,
    RefusedRequest,
    Stamp,
    StopReason,
    Stream,
    bearer,
    model_in,
    prompt_in,
    sse,
)

# A refusal is text like any other; this API has no word for it.
STOPS = {StopReason.END: "stop", StopReason.LENGTH: "length", StopReason.REFUSAL: "stop"}
BY_STATUS = {
    400: ("invalid_request_error", "Invalid request", "3051"),
    403: ("subscription_error", "Inactive subscription or usage limit reached", "1910"),
    404: ("not_found", "Not found", "1000"),
    429: ("rate_limited", "Rate limit exceeded", "1300"),
    500: ("internal_server_error", "Service unavailable.", "3000"),
    503: (
        "service_tier_capacity_exceeded",
        "Service tier capacity exceeded for this model.",
        "3505",
    ),
}
# Whatever else a request holds is refused: `stream_options` and `max_completion_tokens`, say.
KNOWN = {
    *("model", "messages", "max_tokens", "stream", "temperature", "top_p", "top_k", "min_tokens"),
    *("stop", "random_seed", "metadata", "response_format", "tools", "tool_choice", "prediction"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "top_logprobs"),
    *("prompt_logprobs", "top_prompt_logprobs", "n", "parallel_tool_calls", "reasoning_effort"),
    *("prompt_mode", "guardrails", "prompt_cache_key", "service_tier", "safe_prompt"),
}


def has_key(headers: Mapping[str, str]) -> bool:
    return bool(bearer(headers))


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    for name in body:
        if name not in KNOWN:
            raise BadRequestError(f"{name}: Extra inputs are not permitted")
    return ApiCall(model_in(body), prompt_in(body), stream=body.get("stream") is True)


def stream(answer: ModelAnswer) -> Stream:
    return Stream(
        opening=(_chunk(answer, {"role": "assistant", "content": ""}),),
        thoughts=tuple(_chunk(answer, {"content": [_thinking(one)]}) for one in answer.reasoning),
        texts=(_chunk(answer, {"content": piece}) for piece in _pieces(answer)),
        closing=(_chunk(answer, {"content": ""}, STOPS[answer.stop]), b"data: [DONE]\n\n"),
    )


def _pieces(answer: ModelAnswer) -> Sequence[str]:
    return answer.pieces or ((answer.refusal,) if answer.refusal else ())


def _thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _chunk(answer: ModelAnswer, delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    # The padding hides the length of a text from who listens to the line.
    body = {**_base(answer, "chat.completion.chunk"), "choices": [choice], "p": "abcdefgh"}
    return sse({**body, "usage": _usage(answer)} if finish else body)


def whole(answer: ModelAnswer) -> Json:
    content: str | list[Json] = answer.text or answer.refusal
    if answer.reasoning:
        content = [_thinking(answer.reasoned), {"type": "text", "text": content}]
    message = {"role": "assistant", "tool_calls": None, "content": content}
    choice = {"index": 0, "message": message, "finish_reason": STOPS[answer.stop]}
    return {**_base(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def _base(answer: ModelAnswer, kind: str) -> Json:
    return {
        "id": answer.stamp.id,
        "object": kind,
        "created": answer.stamp.unix,
        "model": answer.call.model,
    }


def _usage(answer: ModelAnswer) -> Json:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def refuse(problem: RefusedRequest) -> Refusal:
    match problem.kind:
        case RefusalKind.NO_KEY | RefusalKind.AUTH:
            # The gateway in front of the API has a form of its own.
            return Refusal(401, {"message": "Unauthorized", "request_id": problem.stamp.id})
        case RefusalKind.QUOTA:
            return _refusal(403, *BY_STATUS[403])
        case RefusalKind.MODEL_NOT_FOUND:
            return _refusal(400, "invalid_model", f"Invalid model: {problem.model}", "1500")
        case RefusalKind.BAD_REQUEST:
            where, _, message = problem.message.rpartition(": ")
            place = ["body", where] if where else ["body"]
            return Refusal(422, {"detail": [{"type": "value_error", "loc": place, "msg": message}]})
        case RefusalKind.STATUS:
            status = problem.status
            known = BY_STATUS.get(status) or BY_STATUS[400 if status < 500 else 500]
            return _refusal(status, *known)


def _refusal(status: int, kind: str, message: str, code: str) -> Refusal:
    error = {"object": "error", "message": message, "type": kind, "param": None, "code": code}
    return Refusal(status, {**error, "raw_status_code": status})


def error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    """Either of the two ways to fail, by the status: 500 is a reason to finish, others errors."""
    if refusal.status == 500:
        return _chunk(answer, {"content": ""}, "error")
    return sse(refusal.body)


def headers(stamp: Stamp, limits: RateHeaders) -> dict[str, str]:
    requests, requests_left = limits.of_requests(720)
    tokens, tokens_left = limits.of_tokens(5_000_000)
    return {
        "x-kong-request-id": stamp.id,
        "mistral-correlation-id": stamp.uuid,
        "x-ratelimit-limit-req-minute": requests,
        "x-ratelimit-remaining-req-minute": requests_left,
        "x-ratelimit-limit-tokens-minute": tokens,
        "x-ratelimit-remaining-tokens-minute": tokens_left,
        "x-ratelimit-tokens-query-cost": "32",
    }


def models(listed: Sequence[Model], stamp: Stamp) -> Json:
    return {"object": "list", "data": [model(one, stamp) for one in listed]}


def model(one: Model, stamp: Stamp) -> Json:
    return {
        "id": one.name,
        "object": "model",
        "created": stamp.unix,
        "owned_by": "mistralai",
        "capabilities": {"completion_chat": True},
        "name": one.name,
        "max_context_length": 131_072,
        "aliases": [],
        "deprecation": f"{one.retires}T12:00:00Z" if one.retires else None,
        "deprecation_replacement_model": None,
        "type": "base",
    }


API = EmulatedApi(
    name="mistral",
    paths=("/v1/chat/completions",),
    lookups={"/v1/models": models},
    details={"/v1/models/{model:path}": model},
    model="mistral-emulated",
    media_type="text/event-stream; charset=utf-8",
    overloaded=503,
    has_key=has_key,
    read=read,
    stream=stream,
    whole=whole,
    refuse=refuse,
    error_event=error_event,
    headers=headers,
)
