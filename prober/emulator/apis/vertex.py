"""Vertex AI: Gemini and Claude below /v1/projects/{p}/locations/{l}/publishers/{publisher}/models.

Two APIs of one name: what the models say is as in gemini.py and anthropic.py, the doors are
Google Cloud's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from prober.emulator.apis import anthropic, gemini
from prober.emulator.apis.gemini import detail, google_error
from prober.emulator.wire import (
    ApiCall,
    BadRequestError,
    Json,
    Model,
    ModelAnswer,
    Refusal,
    RefusalKind,
    RefusedRequest,
    Stamp,
    bearer,
    prompt_in,
)

VERSIONS = ("/v1", "/v1beta1")
PROJECT = "/projects/{project}/locations/{location}"
CLAUDE_VERBS = ("streamRawPredict", "rawPredict")
CLAUDE_VERSION = "anthropic_version"
DOMAIN = "googleapis.com"
EXHAUSTED = "Resource exhausted. Please try again later."


def has_key(headers: Mapping[str, str]) -> bool:
    return bool(bearer(headers))


def _paths(publisher: str) -> tuple[str, ...]:
    end = f"/publishers/{publisher}/models/{{model}}:{{verb}}"
    return tuple(version + PROJECT + end for version in VERSIONS)


def _catalogue(publisher: str, end: str) -> tuple[str, ...]:
    """With the project in the path or without it, both are there."""
    models = f"/publishers/{publisher}/models{end}"
    return tuple(version + place + models for version in VERSIONS for place in ("", PROJECT))


def read_claude(params: Mapping[str, str], body: Json) -> ApiCall:
    if params["verb"] not in CLAUDE_VERBS:
        verbs = " and ".join(CLAUDE_VERBS)
        raise BadRequestError(f"unknown method {params['verb']!r}; there is {verbs}")
    if not isinstance(body.get(CLAUDE_VERSION), str):
        raise BadRequestError(f"{CLAUDE_VERSION}: Field required")
    if "model" in body:
        raise BadRequestError("model: Extra inputs are not permitted")
    return ApiCall(params["model"], prompt_in(body), stream=body.get("stream") is True)


def refuse(problem: RefusedRequest) -> Refusal:
    return _cloud_refusal(problem, "google") or gemini.refuse(problem)


def refuse_claude(problem: RefusedRequest) -> Refusal:
    return _cloud_refusal(problem, "anthropic") or anthropic.refuse(problem)


def _cloud_refusal(problem: RefusedRequest, publisher: str) -> Refusal | None:
    """What Google Cloud itself says, before any model is asked."""
    match problem.kind:
        case RefusalKind.NO_KEY | RefusalKind.AUTH:
            missing = problem.kind is RefusalKind.NO_KEY
            reason = "CREDENTIALS_MISSING" if missing else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
            message = (
                "Request had invalid authentication credentials. "
                "Expected OAuth 2 access token, login cookie or other valid authentication "
                "credential."
            )
            info = detail("ErrorInfo", reason=reason, domain=DOMAIN)
            return google_error(401, "UNAUTHENTICATED", message, info)
        case RefusalKind.QUOTA:
            message = "This API method requires billing to be enabled."
            info = detail("ErrorInfo", reason="BILLING_DISABLED", domain=DOMAIN)
            return google_error(403, "PERMISSION_DENIED", message, info)
        case RefusalKind.MODEL_NOT_FOUND:
            message = (
                f"Publisher Model `publishers/{publisher}/models/{problem.model}` was not found "
                "or your project does not have access to it."
            )
            return google_error(404, "NOT_FOUND", message)
        case RefusalKind.STATUS if problem.status == 429:
            # Unlike at Gemini's own door, nothing says for how long.
            return google_error(429, "RESOURCE_EXHAUSTED", EXHAUSTED)
    return None


def claude_error_event(refusal: Refusal, answer: ModelAnswer) -> bytes:
    """Once Claude speaks it speaks for itself, whoever would have refused the request."""
    problem = RefusedRequest(RefusalKind.STATUS, answer.stamp, answer.call.model, refusal.status)
    return anthropic.error_event(anthropic.refuse(problem), answer)


def models(listed: Sequence[Model], stamp: Stamp) -> Json:
    return {"publisherModels": [model(one, stamp) for one in listed]}


def model(one: Model, stamp: Stamp) -> Json:
    # This catalogue has no word for a model's end.
    name = f"publishers/google/models/{one.name}"
    return {"name": name, "versionId": "001", "launchStage": "GA"}


def model_claude(one: Model, stamp: Stamp) -> Json:
    return {**model(one, stamp), "name": f"publishers/anthropic/models/{one.name}"}


API = replace(
    gemini.API,
    name="vertex",
    paths=_paths("google"),
    lookups=dict.fromkeys(_catalogue("google", ""), models),
    details=dict.fromkeys(_catalogue("google", "/{model}"), model),
    has_key=has_key,
    refuse=refuse,
)
CLAUDE = replace(
    anthropic.API,
    name="vertex",
    paths=_paths("anthropic"),
    lookups={},
    details=dict.fromkeys(_catalogue("anthropic", "/{model}"), model_claude),
    has_key=has_key,
    read=read_claude,
    refuse=refuse_claude,
    error_event=claude_error_event,
    headers=gemini.headers,
)
