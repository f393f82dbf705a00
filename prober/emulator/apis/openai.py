"""OpenAI Chat Completions: POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prober.emulator.wire import (
    ApiCall,
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

# A refusal ends like any answer; it is told by its own field.
STOPS = {StopReason.END: "stop", StopReason.LENGTH: "length", StopReason.REFUSAL: "stop"}
CREATED = 1_767_225_600
BY_STATUS = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Not supported here."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 1s."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


def has_key(headers: Mapping[str, str]) -> bool:
    return bool(bearer(headers))


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    options = body.get("stream_options")
    want_usage = isinstance(options, dict) and options.get("include_usage") is True
    return ApiCall(model_in(body), prompt_in(body), body.get("stream") is True, want_usage)


def stream(answer: ModelAnswer, stops: Mapping[StopReason, str] = STOPS) -> Stream:
    start = {"role": "assistant", "content": "", "refusal": None}
    refusal = [_chunk(answer, {"refusal": answer.refusal})] if answer.refusal else []
    usage = [_usage_chunk(answer)] if answer.call.want_usage else []
    return Stream(
        opening=(_chunk(answer, start),),
        # OpenAI tells nothing of its reasoning here; vLLM and others do, in this field.
        thoughts=tuple(_chunk(answer, {"reasoning_content": one}) for one in answer.reasoning),
        texts=(_chunk(answer, {"content": piece}) for piece in answer.pieces),
        closing=(
            *refusal,
            _chunk(answer, {}, finish=stops[answer.stop]),
            *usage,
            b"data: [DONE]\n\n",
        ),
    )


def _chunk(answer: ModelAnswer, delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    usage = {"usage": None} if answer.call.want_usage else {}
    return sse({**_base(answer, "chat.completion.chunk"), "choices": [choice], **usage})


def _usage_chunk(answer: ModelAnswer) -> bytes:
    base = _base(answer, "chat.completion.chunk")
    return sse({**base, "choices": [], "usage": _usage(answer)})


def whole(answer: ModelAnswer, stops: Mapping[StopReason, str] = STOPS) -> Json:
    message: Json = {
        "role": "assistant",
        "content": None if answer.refusal else answer.text,
        "refusal": answer.refusal or None,
        "annotations": [],
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoned
    finish = stops[answer.stop]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {**_base(answer, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def _base(answer: ModelAnswer, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{answer.stamp.id}",
        "object": kind,
        "created": answer.stamp.unix,
        "model": answer.call.model,
        "service_tier": "default",
        "system_fingerprint": "fp_emulator",
    }


def _usage(answer: ModelAnswer) -> Json:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
        },
    }


def refuse(problem: RefusedRequest) -> Refusal:
    match problem.kind:
        case RefusalKind.NO_KEY:
            return _refusal(401, "invalid_request_error", None, "You didn't provide an API key.")
        case RefusalKind.AUTH:
            return _refusal(401, *BY_STATUS[401])
        case RefusalKind.QUOTA:
            message = "You exceeded your current quota, please check your plan and billing details."
            return _refusal(429, "insufficient_quota", "credit_balance_exhausted", message)
        case RefusalKind.MODEL_NOT_FOUND:
            message = f"The model `{problem.model}` does not exist or you do not have access to it."
            return _refusal(404, "invalid_request_error", "model_not_found", message)
        case RefusalKind.BAD_REQUEST:
            return _refusal(400, "invalid_request_error", None, problem.message)
        case RefusalKind.STATUS:
            status = problem.status
            known = BY_STATUS.get(status) or BY_STATUS[400 if status < 500 else 500]
            return _refusal(status, *known, headers={"retry-after": "1"} if status == 429 else {})


def _refusal(
    status: int,
    kind: str,
    code: str | None,
    message: str,
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Refusal(status, {"error": error}, headers or {})


def error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    return sse(refusal.body)


def headers(stamp: Stamp, limits: RateHeaders) -> dict[str, str]:
    return {
        "x-request-id": f"req_{stamp.id}",
        "openai-organization": "org-emulator",
        "openai-processing-ms": "20",
        "openai-version": "2020-10-01",
        **rate_limits(limits),
    }


def rate_limits(limits: RateHeaders) -> dict[str, str]:
    requests, requests_left = limits.of_requests(10_000)
    tokens, tokens_left = limits.of_tokens(200_000)
    return {
        "x-ratelimit-limit-requests": requests,
        "x-ratelimit-remaining-requests": requests_left,
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": tokens,
        "x-ratelimit-remaining-tokens": tokens_left,
        "x-ratelimit-reset-tokens": "9ms",
    }


def models(listed: Sequence[Model], stamp: Stamp) -> Json:
    return {"object": "list", "data": [model(one, stamp) for one in listed]}


def model(one: Model, stamp: Stamp) -> Json:
    return {
        "id": one.name,
        "object": "model",
        "created": CREATED,
        "owned_by": "emulator",
        "shutdown_date": one.retires or None,
    }


API = EmulatedApi(
    name="openai",
    paths=("/v1/chat/completions",),
    lookups={"/v1/models": models},
    details={"/v1/models/{model:path}": model},
    model="gpt-emulated",
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
