"""Gemini: POST /v1beta/models/{model}:streamGenerateContent?alt=sse and :generateContent."""

from __future__ import annotations

import json
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
    compact,
    text_in,
)

STOPS = {StopReason.END: "STOP", StopReason.LENGTH: "MAX_TOKENS", StopReason.REFUSAL: "SAFETY"}
BY_STATUS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission."),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota. Please retry in 1s."),
    500: ("INTERNAL", "An internal error has occurred. Please retry."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
VERBS = {"streamGenerateContent": True, "generateContent": False}
TYPE = "type.googleapis.com/google.rpc."


def has_key(headers: Mapping[str, str]) -> bool:
    return bool(headers.get("x-goog-api-key", "").strip())


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    if params["verb"] not in VERBS:
        raise BadRequestError(f"unknown method {params['verb']!r}; there is {' and '.join(VERBS)}")
    contents = body.get("contents")
    turns = [
        content
        for content in (contents if isinstance(contents, list) else [])
        if isinstance(content, dict) and content.get("role", "user") == "user"
    ]
    if not turns:
        raise BadRequestError("* GenerateContentRequest.contents: contents is not specified")
    prompt = text_in(turns[-1].get("parts"))
    return ApiCall(params["model"], prompt, stream=VERBS[params["verb"]])


def stream(answer: ModelAnswer) -> Stream:
    # There is no terminal event; the finish reason is the marker.
    parts = [{"text": ""}] if answer.stop is StopReason.END else None
    return Stream(
        opening=(),
        thoughts=tuple(_event(_chunk(answer, [_thought(one)], None)) for one in answer.reasoning),
        texts=(_event(_chunk(answer, [{"text": piece}], None)) for piece in answer.pieces),
        closing=(_event(_chunk(answer, parts, STOPS[answer.stop])),),
    )


def whole(answer: ModelAnswer) -> Json:
    parts = [_thought(answer.reasoned)] if answer.reasoning else []
    if answer.stop is StopReason.END:
        parts.append({"text": answer.text})
    return _chunk(answer, parts or None, STOPS[answer.stop])


def _thought(text: str) -> Json:
    return {"text": text, "thought": True}


def _chunk(answer: ModelAnswer, parts: list[Json] | None, finish: str | None) -> Json:
    candidate: Json = {"index": 0}
    if parts is not None:
        candidate["content"] = {"parts": parts, "role": "model"}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": answer.input_tokens, "totalTokenCount": answer.input_tokens}
    if finish:
        usage["totalTokenCount"] += answer.output_tokens
        if answer.reasoning_tokens:
            usage["thoughtsTokenCount"] = answer.reasoning_tokens
        if visible := answer.output_tokens - answer.reasoning_tokens:
            usage["candidatesTokenCount"] = visible
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": answer.call.model,
        "responseId": answer.stamp.id,
    }


def _event(body: Json) -> bytes:
    # Google ends its lines as HTTP does.
    return f"data: {compact(body)}\r\n\r\n".encode()


def refuse(problem: RefusedRequest) -> Refusal:
    match problem.kind:
        case RefusalKind.NO_KEY:
            message = "Method doesn't allow unregistered callers."
            return google_error(403, "PERMISSION_DENIED", message)
        case RefusalKind.AUTH:
            # A wrong key is a bad request to Google, told apart by its reason.
            info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            message = "API key not valid. Please pass a valid API key."
            return google_error(400, "INVALID_ARGUMENT", message, detail("ErrorInfo", **info))
        case RefusalKind.QUOTA:
            message = "You exceeded your current quota, please check your plan and billing details."
            return google_error(429, "RESOURCE_EXHAUSTED", message, *_exhausted("PerDay", "43200s"))
        case RefusalKind.MODEL_NOT_FOUND:
            message = (
                f"models/{problem.model} is not found for API version v1beta, "
                "or is not supported for generateContent."
            )
            return google_error(404, "NOT_FOUND", message)
        case RefusalKind.BAD_REQUEST:
            return google_error(400, "INVALID_ARGUMENT", problem.message)
        case RefusalKind.STATUS:
            status = problem.status
            known = BY_STATUS.get(status) or BY_STATUS[400 if status < 500 else 500]
            return google_error(
                status, *known, *(_exhausted("PerMinute", "1s") if status == 429 else ())
            )


def google_error(status: int, name: str, message: str, *details: Json) -> Refusal:
    error: Json = {"code": status, "message": message, "status": name}
    if details:
        error["details"] = list(details)
    return Refusal(status, {"error": error})


def _exhausted(period: str, retry: str) -> tuple[Json, Json]:
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
        "quotaId": f"GenerateRequests{period}PerProjectPerModel",
    }
    return detail("QuotaFailure", violations=[violation]), detail("RetryInfo", retryDelay=retry)


def detail(kind: str, **fields: object) -> Json:
    return {"@type": TYPE + kind, **fields}


def error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    # In a stream Google says errors as bare JSON over several lines, without `data:`.
    return f"{json.dumps(refusal.body, indent=2)}\n".encode()


def headers(stamp: Stamp, limits: RateHeaders) -> dict[str, str]:
    return {"server-timing": "gfet4t7; dur=20", "x-content-type-options": "nosniff"}


def models(listed: Sequence[Model], stamp: Stamp) -> Json:
    return {"models": [model(one, stamp) for one in listed]}


def model(one: Model, stamp: Stamp) -> Json:
    # This catalogue has no word for a model's end.
    return {
        "name": f"models/{one.name}",
        "version": "001",
        "displayName": one.name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent"],
    }


API = EmulatedApi(
    name="gemini",
    # The official SDK asks v1 since its version 3.
    paths=("/v1beta/models/{model:path}:{verb}", "/v1/models/{model:path}:{verb}"),
    lookups={"/v1beta/models": models, "/v1/models": models},
    details={"/v1beta/models/{model:path}": model, "/v1/models/{model:path}": model},
    model="gemini-emulated",
    media_type="text/event-stream",
    overloaded=503,
    has_key=has_key,
    read=read,
    stream=stream,
    whole=whole,
    refuse=refuse,
    error_event=error_event,
    headers=headers,
    mine=lambda headers: "x-goog-api-key" in headers,
)
