"""Anthropic Messages: POST /v1/messages."""

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

STOPS = {StopReason.END: "end_turn", StopReason.LENGTH: "max_tokens", StopReason.REFUSAL: "refusal"}
SIGNATURE = "ZW11bGF0ZWQ="
BY_STATUS = {
    400: ("invalid_request_error", "Invalid request"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


def has_key(headers: Mapping[str, str]) -> bool:
    return bool(headers.get("x-api-key", "").strip() or bearer(headers))


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    return ApiCall(model_in(body), prompt_in(body), stream=body.get("stream") is True)


def stream(answer: ModelAnswer) -> Stream:
    text, thinking = {"type": "text", "text": ""}, {"type": "thinking", "thinking": ""}
    index = 1 if answer.reasoning else 0
    start = _event("content_block_start", index=index, content_block=text)
    first = _event("content_block_start", index=0, content_block=thinking)
    end = {"stop_reason": STOPS[answer.stop], "stop_sequence": None, **_stop_details(answer)}
    return Stream(
        opening=(
            _event("message_start", message=_message(answer, [], None, output_tokens=1)),
            first if answer.reasoning else start,
            _event("ping"),
        ),
        thoughts=_thoughts(answer, start),
        texts=(
            _event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
            for piece in answer.pieces
        ),
        closing=(
            _event("content_block_stop", index=index),
            _event("message_delta", delta=end, usage=_usage(answer)),
            _event("message_stop"),
        ),
    )


def _thoughts(answer: ModelAnswer, start: bytes) -> tuple[bytes, ...]:
    """The deltas of a thinking block; its end and the start of the next go with the last."""
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": one} for one in answer.reasoning]
    if not deltas:
        return ()
    signature = {"type": "signature_delta", "signature": SIGNATURE}
    *head, last, signed = (
        _event("content_block_delta", index=0, delta=delta) for delta in (*deltas, signature)
    )
    return (*head, last + signed + _event("content_block_stop", index=0) + start)


def whole(answer: ModelAnswer) -> Json:
    content: list[Json] = []
    if answer.reasoning:
        thinking = {"thinking": answer.reasoned, "signature": SIGNATURE}
        content.append({"type": "thinking", **thinking})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    message = _message(answer, content, STOPS[answer.stop], answer.output_tokens)
    return {**message, **_stop_details(answer)}


def _message(
    answer: ModelAnswer, content: list[Json], stop: str | None, output_tokens: int
) -> Json:
    return {
        "id": f"msg_{answer.stamp.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.call.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            **_usage(answer),
            "output_tokens": output_tokens,
            "service_tier": "standard",
        },
    }


def _usage(answer: ModelAnswer) -> Json:
    usage: Json = {"output_tokens": answer.output_tokens}
    if answer.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": answer.reasoning_tokens}
    return usage


def _stop_details(answer: ModelAnswer) -> Json:
    if answer.stop is not StopReason.REFUSAL:
        return {}
    return {
        "stop_details": {"type": "refusal", "category": None, "explanation": answer.refusal},
    }


def _event(kind: str, **fields: object) -> bytes:
    return sse({"type": kind, **fields}, kind)


def refuse(problem: RefusedRequest) -> Refusal:
    match problem.kind:
        case RefusalKind.NO_KEY:
            return _refusal(problem, 401, "authentication_error", "x-api-key header is required")
        case RefusalKind.AUTH:
            return _refusal(problem, 401, *BY_STATUS[401])
        case RefusalKind.QUOTA:
            # A rate limit by status and type, but without `retry-after`: the month is spent.
            message = "Your organization has reached its monthly API usage limit."
            details = {"error_code": "enforced_spend_limit_reached"}
            return _refusal(problem, 429, "rate_limit_error", message, details=details)
        case RefusalKind.MODEL_NOT_FOUND:
            return _refusal(problem, 404, "not_found_error", f"model: {problem.model}")
        case RefusalKind.BAD_REQUEST:
            return _refusal(problem, 400, "invalid_request_error", problem.message)
        case RefusalKind.STATUS:
            status = problem.status
            known = BY_STATUS.get(status) or BY_STATUS[400 if status < 500 else 500]
            later = {"retry-after": "1"} if status == 429 else {}
            return _refusal(problem, status, *known, headers=later)


def _refusal(
    problem: RefusedRequest,
    status: int,
    kind: str,
    message: str,
    *,
    details: Json | None = None,
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    error: Json = {"type": kind, "message": message}
    if details:
        error["details"] = details
    body = {"type": "error", "error": error, "request_id": f"req_{problem.stamp.id}"}
    return Refusal(status, body, headers or {})


def error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    return sse(refusal.body, "error")


def headers(stamp: Stamp, limits: RateHeaders) -> dict[str, str]:
    pairs = {
        "requests": limits.of_requests(4000),
        "input-tokens": limits.of_tokens(400_000),
        "tokens": limits.of_tokens(480_000),
    }
    sent = {"request-id": f"req_{stamp.id}", "anthropic-organization-id": "org-emulator"}
    for name, (limit, remaining) in pairs.items():
        sent[f"anthropic-ratelimit-{name}-limit"] = limit
        sent[f"anthropic-ratelimit-{name}-remaining"] = remaining
        sent[f"anthropic-ratelimit-{name}-reset"] = stamp.rfc3339
    return sent


def models(listed: Sequence[Model], stamp: Stamp) -> Json:
    first, last = (listed[0].name, listed[-1].name) if listed else (None, None)
    data = [model(one, stamp) for one in listed]
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def model(one: Model, stamp: Stamp) -> Json:
    return {
        "type": "model",
        "id": one.name,
        "display_name": one.name,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "deprecated" if one.retires else "active",
        "deprecated_at": stamp.rfc3339 if one.retires else None,
        "retires_at": f"{one.retires}T00:00:00Z" if one.retires else None,
    }


API = EmulatedApi(
    name="anthropic",
    paths=("/v1/messages",),
    lookups={"/v1/models": models},
    details={"/v1/models/{model:path}": model},
    model="claude-emulated",
    media_type="text/event-stream; charset=utf-8",
    overloaded=529,
    has_key=has_key,
    read=read,
    stream=stream,
    whole=whole,
    refuse=refuse,
    error_event=error_event,
    headers=headers,
    mine=lambda headers: "anthropic-version" in headers,
)
