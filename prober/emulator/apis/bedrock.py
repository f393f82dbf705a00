"""Amazon Bedrock: POST /model/{model}/converse-stream, a binary event stream, and /converse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prober.emulator.eventstream import event, exception
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
    prompt_in,
)

VERBS = {"converse-stream": True, "converse": False}
STOPS = {
    StopReason.END: "end_turn",
    StopReason.LENGTH: "max_tokens",
    StopReason.REFUSAL: "guardrail_intervened",
}
BY_STATUS = {
    400: ("ValidationException", "The request does not satisfy the service's constraints."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified ID."),
    404: ("ResourceNotFoundException", "Could not resolve the foundation model."),
    408: ("ModelTimeoutException", "The request took too long to process."),
    424: ("ModelErrorException", "The request failed while the model processed it."),
    429: ("ThrottlingException", "Too many requests, please wait before trying again."),
    500: ("InternalServerException", "The server encountered an unexpected error."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}
# The same failure of the model has another name inside a stream.
IN_STREAM = {"ModelErrorException": "ModelStreamErrorException"}
SIGNATURE = ("AWS4-HMAC-SHA256 ", "Credential=", "SignedHeaders=", "Signature=")


def has_key(headers: Mapping[str, str]) -> bool:
    """A signature of version 4, which nobody verifies here, or a bearer token."""
    authorization = headers.get("authorization", "")
    return all(part in authorization for part in SIGNATURE) or bool(bearer(headers))


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    if params["verb"] not in VERBS:
        raise BadRequestError(f"unknown operation {params['verb']!r}; try {' or '.join(VERBS)}")
    return ApiCall(params["model"], prompt_in(body), stream=VERBS[params["verb"]])


def stream(answer: ModelAnswer) -> Stream:
    index = 1 if answer.reasoning else 0
    thoughts = [_delta(0, {"reasoningContent": {"text": one}}) for one in answer.reasoning]
    if thoughts:
        thoughts[-1] += event("contentBlockStop", {"contentBlockIndex": 0})
    return Stream(
        opening=(event("messageStart", {"role": "assistant"}),),
        thoughts=thoughts,
        texts=(_delta(index, {"text": piece}) for piece in _pieces(answer)),
        closing=(
            event("contentBlockStop", {"contentBlockIndex": index}),
            event("messageStop", {"stopReason": STOPS[answer.stop]}),
            event("metadata", _metadata(answer)),
        ),
    )


def _delta(index: int, delta: Json) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})


def _pieces(answer: ModelAnswer) -> Sequence[str]:
    """A guardrail has words of its own, in the place of the model's."""
    return answer.pieces or ((answer.refusal,) if answer.refusal else ())


def whole(answer: ModelAnswer) -> Json:
    content: list[Json] = [{"text": "".join(_pieces(answer))}]
    if answer.reasoning:
        content.insert(0, {"reasoningContent": {"reasoningText": {"text": answer.reasoned}}})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": STOPS[answer.stop],
        **_metadata(answer),
    }


def _metadata(answer: ModelAnswer) -> Json:
    usage = {
        "inputTokens": answer.input_tokens,
        "outputTokens": answer.output_tokens,
        "totalTokens": answer.input_tokens + answer.output_tokens,
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 0,
    }
    return {"usage": usage, "metrics": {"latencyMs": 20}}


def refuse(problem: RefusedRequest) -> Refusal:
    match problem.kind:
        case RefusalKind.NO_KEY:
            return _refusal(403, "MissingAuthenticationTokenException", "Missing Authentication")
        case RefusalKind.AUTH:
            message = "The security token included in the request is invalid."
            return _refusal(403, "UnrecognizedClientException", message)
        case RefusalKind.QUOTA:
            message = "Too many tokens per day, please wait before trying again."
            return _refusal(429, "ThrottlingException", message)
        case RefusalKind.MODEL_NOT_FOUND:
            message = (
                "This model version has reached the end of its life. "
                "Please refer to the AWS documentation for more details."
            )
            return _refusal(404, "ResourceNotFoundException", message)
        case RefusalKind.BAD_REQUEST:
            return _refusal(400, "ValidationException", problem.message)
        case RefusalKind.STATUS:
            status = problem.status
            known = BY_STATUS.get(status) or BY_STATUS[400 if status < 500 else 500]
            return _refusal(status, *known)


def _refusal(status: int, kind: str, message: str) -> Refusal:
    return Refusal(status, {"message": message}, {"x-amzn-errortype": kind})


def error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    kind = refusal.headers["x-amzn-errortype"]
    kind = IN_STREAM.get(kind, kind)
    return exception(kind[0].lower() + kind[1:], refusal.body)


def headers(stamp: Stamp, limits: RateHeaders) -> dict[str, str]:
    return {"x-amzn-requestid": stamp.uuid}


def models(listed: Sequence[Model], stamp: Stamp) -> Json:
    return {"modelSummaries": [_details(one) for one in listed]}


def model(one: Model, stamp: Stamp) -> Json:
    return {"modelDetails": _details(one)}


def _details(one: Model) -> Json:
    life = {"status": "ACTIVE", "startOfLifeTime": "2026-01-01T00:00:00Z"}
    if one.retires:
        life |= {"status": "LEGACY", "endOfLifeTime": f"{one.retires}T00:00:00Z"}
    return {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{one.name}",
        "modelId": one.name,
        "modelName": one.name,
        "providerName": "Emulator",
        "inputModalities": ["TEXT"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": life,
    }


API = EmulatedApi(
    name="bedrock",
    paths=("/model/{model:path}/{verb}",),
    lookups={"/foundation-models": models},
    details={"/foundation-models/{model:path}": model},
    model="emulated.model-v1:0",
    media_type="application/vnd.amazon.eventstream",
    overloaded=503,
    has_key=has_key,
    read=read,
    stream=stream,
    whole=whole,
    refuse=refuse,
    error_event=error_event,
    headers=headers,
)
