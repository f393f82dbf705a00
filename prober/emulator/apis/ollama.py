"""Ollama: POST /api/chat, newline-delimited JSON."""

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
    anyone,
    compact,
    model_in,
    prompt_in,
)

# A refusal is text like any other; this API has no word for it.
STOPS = {StopReason.END: "stop", StopReason.LENGTH: "length", StopReason.REFUSAL: "stop"}
BY_STATUS = {
    400: "invalid request",
    401: "unauthorized",
    404: "not found",
    429: "too many concurrent requests",
    500: "llama runner process has terminated: exit status 2",
    503: "server busy, please try again.  maximum pending requests exceeded",
}


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    # Unlike everywhere else, streaming is what one gets without asking.
    return ApiCall(model_in(body), prompt_in(body), stream=body.get("stream", True) is not False)


def stream(answer: ModelAnswer) -> Stream:
    pieces = answer.pieces or ((answer.refusal,) if answer.refusal else ())
    return Stream(
        opening=(),
        thoughts=tuple(
            _line({**_base(answer, "", thinking=one), "done": False}) for one in answer.reasoning
        ),
        texts=(_line({**_base(answer, piece), "done": False}) for piece in pieces),
        closing=(_line(_done(answer, "")),),
    )


def whole(answer: ModelAnswer) -> Json:
    return _done(answer, answer.text or answer.refusal, answer.reasoned)


def _base(answer: ModelAnswer, content: str, thinking: str = "") -> Json:
    message = {"role": "assistant", "content": content}
    if thinking:
        message["thinking"] = thinking
    return {"model": answer.call.model, "created_at": answer.stamp.rfc3339, "message": message}


def _done(answer: ModelAnswer, content: str, thinking: str = "") -> Json:
    return {
        **_base(answer, content, thinking),
        "done": True,
        "done_reason": STOPS[answer.stop],
        "total_duration": 25_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": answer.input_tokens,
        "prompt_eval_duration": 4_000_000,
        "eval_count": answer.output_tokens,
        "eval_duration": 20_000_000,
    }


def _line(body: Json) -> bytes:
    return f"{compact(body)}\n".encode()


def refuse(problem: RefusedRequest) -> Refusal:
    match problem.kind:
        case RefusalKind.NO_KEY | RefusalKind.AUTH:
            return _refusal(401, BY_STATUS[401])
        case RefusalKind.QUOTA:
            # What its cloud models say; a local server has no quota.
            message = (
                "you (emulator) have reached your weekly usage limit, upgrade for higher limits"
            )
            return _refusal(429, message)
        case RefusalKind.MODEL_NOT_FOUND:
            return _refusal(404, f"model '{problem.model}' not found")
        case RefusalKind.BAD_REQUEST:
            return _refusal(400, problem.message)
        case RefusalKind.STATUS:
            status = problem.status
            known = BY_STATUS.get(status) or BY_STATUS[400 if status < 500 else 500]
            return _refusal(status, known)


def _refusal(status: int, message: str) -> Refusal:
    return Refusal(status, {"error": message})


def error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    return _line(refusal.body)


def headers(stamp: Stamp, limits: RateHeaders) -> dict[str, str]:
    return {}


def version(listed: Sequence[Model], stamp: Stamp) -> Json:
    return {"version": "0.12.0"}


def tags(listed: Sequence[Model], stamp: Stamp) -> Json:
    details = {"format": "gguf", "family": "emulator", "parameter_size": "1B"}
    models = [
        {
            "name": one.name,
            "model": one.name,
            "modified_at": "2026-01-01T00:00:00Z",
            "size": 1_000_000_000,
            "digest": "0" * 64,
            "details": details,
        }
        for one in listed
    ]
    return {"models": models}


API = EmulatedApi(
    name="ollama",
    paths=("/api/chat",),
    lookups={"/api/version": version, "/api/tags": tags},
    model="emulated:latest",
    media_type="application/x-ndjson",
    overloaded=503,
    has_key=anyone,
    read=read,
    stream=stream,
    whole=whole,
    refuse=refuse,
    error_event=error_event,
    headers=headers,
)
