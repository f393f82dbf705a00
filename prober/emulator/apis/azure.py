"""Azure OpenAI: POST /openai/v1/chat/completions and /openai/deployments/{d}/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from prober.emulator.apis import openai
from prober.emulator.wire import (
    ApiCall,
    BadRequestError,
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
    sse,
)

DEPLOYMENTS = "/openai/deployments/{model}/chat/completions"
SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "sexual", "violence")}
UNSAFE = {**SAFE, "violence": {"filtered": True, "severity": "medium"}}
# The filter before the model declines with a 400, the one behind it ends the answer.
STOPS = {**openai.STOPS, StopReason.REFUSAL: "content_filter"}
FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management "
    "policy. Please modify your prompt and retry."
)
BY_STATUS = {
    401: (
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to "
        "provide a valid key for an active subscription and use a correct regional API endpoint "
        "for your resource.",
    ),
    403: ("403", "Public access is disabled. Please configure private endpoint."),
    404: ("404", "Resource not found"),
    429: ("429", "Rate limit is exceeded. Try again in 1 seconds."),
    500: ("InternalServerError", "The server had an error while processing your request."),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request."),
}


def has_key(headers: Mapping[str, str]) -> bool:
    return bool(headers.get("api-key", "").strip() or bearer(headers))


def read(params: Mapping[str, str], body: Json) -> ApiCall:
    if "model" not in params:
        return openai.read(params, body)
    if not params.get("api-version"):
        raise BadRequestError("Missing required query parameter: 'api-version'.")
    # The deployment in the path is the model, whatever the body says.
    return openai.read(params, {**body, "model": model_in({"model": params["model"]})})


def stream(answer: ModelAnswer) -> Stream:
    results = [{"prompt_index": 0, "content_filter_results": SAFE}]
    nothing = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    plain = openai.stream(replace(answer, refusal=""), STOPS)
    return replace(
        plain, opening=(sse({**nothing, "prompt_filter_results": results}), *plain.opening)
    )


def whole(answer: ModelAnswer) -> Json:
    results = [{"prompt_index": 0, "content_filter_results": SAFE}]
    plain = openai.whole(replace(answer, refusal=""), STOPS)
    for choice in plain["choices"]:
        choice["content_filter_results"] = UNSAFE if answer.stop is StopReason.REFUSAL else SAFE
    return {**plain, "prompt_filter_results": results}


def refuse(problem: RefusedRequest) -> Refusal:
    match problem.kind:
        case RefusalKind.NO_KEY | RefusalKind.AUTH:
            return _refusal(401, *BY_STATUS[401])
        case RefusalKind.QUOTA:
            message = "You exceeded your current quota, please check your plan and billing details."
            return _refusal(429, "insufficient_quota", message, {"type": "insufficient_quota"})
        case RefusalKind.MODEL_NOT_FOUND:
            message = (
                "The API deployment for this resource does not exist. If you created the "
                "deployment within the last 5 minutes, please wait a moment and try again."
            )
            return _refusal(404, "DeploymentNotFound", message)
        case RefusalKind.BAD_REQUEST:
            return _refusal(400, "BadRequest", problem.message)
        case RefusalKind.STATUS:
            status = problem.status
            if status == 400:
                return _filtered()
            known = BY_STATUS.get(status) or (str(status), f"The request failed with {status}.")
            later = {"retry-after": "1", "retry-after-ms": "1000"} if status == 429 else {}
            return _refusal(status, *known, headers=later)


def _filtered() -> Refusal:
    code = "ResponsibleAIPolicyViolation"
    inner = {"code": code, "content_filter_result": UNSAFE}
    more = {"type": None, "param": "prompt", "status": 400, "innererror": inner}
    return _refusal(400, "content_filter", FILTERED, more)


def _refusal(
    status: int,
    code: str,
    message: str,
    more: Json | None = None,
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    error = {"code": code, "message": message, **(more or {})}
    return Refusal(status, {"error": error}, headers or {})


def headers(stamp: Stamp, limits: RateHeaders) -> dict[str, str]:
    return {
        "apim-request-id": stamp.uuid,
        "x-request-id": stamp.uuid,
        "x-ms-region": "Sweden Central",
        **openai.rate_limits(limits),
    }


def models(listed: Sequence[Model], stamp: Stamp) -> Json:
    return {"object": "list", "data": [model(one, stamp) for one in listed]}


def model(one: Model, stamp: Stamp) -> Json:
    ends = datetime.fromisoformat(one.retires).replace(tzinfo=UTC) if one.retires else None
    return {
        "id": one.name,
        "object": "model",
        "status": "succeeded",
        "created_at": openai.CREATED,
        "capabilities": {"inference": True, "chat_completion": True, "fine_tune": False},
        "lifecycle_status": "deprecating" if ends else "generally-available",
        "deprecation": {"inference": int(ends.timestamp())} if ends else {},
    }


API = replace(
    openai.API,
    name="azure-openai",
    paths=("/openai/v1/chat/completions", DEPLOYMENTS),
    lookups={"/openai/v1/models": models, "/openai/models": models},
    details={
        "/openai/v1/models/{model:path}": model,
        "/openai/models/{model:path}": model,
    },
    has_key=has_key,
    read=read,
    stream=stream,
    whole=whole,
    refuse=refuse,
    headers=headers,
    # Below /openai stands the API of OpenAI too.
    mine=lambda headers: "api-key" in headers,
)
