"""The vendors' documented errors, each with its outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prober.providers import ADAPTERS
from prober.sample import Outcome

BAD = Outcome.BAD_REQUEST
AUTH = Outcome.AUTH
QUOTA = Outcome.QUOTA_EXHAUSTED
GONE = Outcome.MODEL_NOT_FOUND
LIMITED = Outcome.RATE_LIMITED
OVERLOADED = Outcome.OVERLOADED
SERVER = Outcome.SERVER_ERROR
REFUSAL = Outcome.REFUSAL


def anthropic(kind: str, message: str = "m", code: str = "") -> dict[str, Any]:
    details = {"details": {"error_code": code}} if code else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}}


def openai(kind: str | None, code: Any = None, message: str = "m") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def gemini(code: int, status: str, message: str = "m", *details: Any) -> dict[str, Any]:
    error = {"code": code, "status": status, "message": message, "details": list(details)}
    return {"error": error}


def quota(id: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": id}]}


def reason(name: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name}


def mistral(kind: str, message: str = "m", code: str | None = None) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def amazon(message: str = "m") -> dict[str, Any]:
    return {"message": message}


Row = tuple[int, Any, Outcome]
LIMITS = "You have reached your specified API usage limits. Access returns on 2026-01-01."
CREDIT = "Your credit balance is too low to access the API."
INVALID = "invalid_request_error"
EXHAUSTED = "RESOURCE_EXHAUSTED"

ANTHROPIC: list[Row] = [
    (400, anthropic(INVALID), BAD),
    (400, anthropic(INVALID, LIMITS), QUOTA),
    (400, anthropic(INVALID, CREDIT), QUOTA),
    (401, anthropic("authentication_error"), AUTH),
    (402, anthropic("billing_error"), QUOTA),
    (403, anthropic("permission_error"), AUTH),
    (404, anthropic("not_found_error"), GONE),
    (413, anthropic("request_too_large"), BAD),
    (429, anthropic("rate_limit_error"), LIMITED),
    (429, anthropic("rate_limit_error", code="enforced_spend_limit_reached"), QUOTA),
    (500, anthropic("api_error"), SERVER),
    (504, anthropic("timeout_error"), SERVER),
    (529, anthropic("overloaded_error"), OVERLOADED),
]
OPENAI: list[Row] = [
    (400, openai(INVALID), BAD),
    (401, openai(INVALID, "invalid_api_key"), AUTH),
    (403, openai(INVALID, "unsupported_country_region_territory"), AUTH),
    (403, openai(INVALID, "model_not_found"), GONE),
    (404, openai(INVALID, "model_not_found"), GONE),
    (429, openai("requests", "rate_limit_exceeded"), LIMITED),
    (429, openai("tokens", "slow_down"), LIMITED),
    (503, openai("server_error", "slow_down"), LIMITED),
    (429, openai("insufficient_quota", "insufficient_quota"), QUOTA),
    (429, openai("insufficient_quota", "credit_balance_exhausted"), QUOTA),
    (429, openai("x", "credit_balance_exhausted"), QUOTA),
    (429, openai("x", "project_spend_limit_exceeded"), QUOTA),
    (429, openai("x", "organization_usage_limit_exceeded"), QUOTA),
    (429, openai("x", "billing_hard_limit_reached"), QUOTA),
    (429, openai("x", "billing_not_active"), QUOTA),
    (500, openai("server_error"), SERVER),
    (503, openai("server_error"), OVERLOADED),
]
# Servers and gateways that speak OpenAI's API, with codes of their own kinds.
COMPATIBLE: list[Row] = [
    (402, openai(None, 402, "Insufficient credits"), QUOTA),  # OpenRouter
    (403, openai(None, 403, "Key limit exceeded (total limit)"), QUOTA),
    (408, openai(None, 408, "Your request timed out"), SERVER),
    (502, openai(None, 502, "Your chosen model is down"), SERVER),
    (404, openai("NotFoundError", 404, "The model `m` does not exist."), GONE),  # vLLM
    (400, openai("BadRequestError", 400, "max_tokens must be at least 1"), BAD),
    (429, openai("budget_exceeded", "429", "over budget"), QUOTA),  # LiteLLM
    (400, openai(None, "400", "Budget has been exceeded! Current cost: 26, Max: 10"), QUOTA),
    (429, openai(None, "429", "No deployments available - crossed budget: 0.3 >= 1d"), QUOTA),
    (429, openai("None", "429", "No deployments available for selected model"), OVERLOADED),
    (446, {"error": {"message": "hooks failed"}}, REFUSAL),  # Portkey
]
GEMINI: list[Row] = [
    (400, gemini(400, "INVALID_ARGUMENT"), BAD),
    (400, gemini(400, "FAILED_PRECONDITION"), BAD),
    (400, gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass one."), AUTH),
    (400, gemini(400, "INVALID_ARGUMENT", "m", reason("API_KEY_INVALID")), AUTH),
    (403, gemini(403, "PERMISSION_DENIED"), AUTH),
    (403, gemini(403, "PERMISSION_DENIED", "m", reason("BILLING_DISABLED")), QUOTA),
    (404, gemini(404, "NOT_FOUND"), GONE),
    (429, gemini(429, EXHAUSTED), LIMITED),
    (429, gemini(429, EXHAUSTED, "m", quota("GenerateRequestsPerMinutePerProject")), LIMITED),
    (429, gemini(429, EXHAUSTED, "m", quota("GenerateRequestsPerDayPerProject")), QUOTA),
    (500, gemini(500, "INTERNAL"), SERVER),
    (503, gemini(503, "UNAVAILABLE"), OVERLOADED),
    (504, gemini(504, "DEADLINE_EXCEEDED"), SERVER),
]
VERTEX: list[Row] = [
    *GEMINI,
    (401, gemini(401, "UNAUTHENTICATED", "m", reason("ACCESS_TOKEN_TYPE_UNSUPPORTED")), AUTH),
    (429, [gemini(429, EXHAUSTED)], LIMITED),
    # Claude's own words there.
    (400, anthropic(INVALID), BAD),
    (404, anthropic("not_found_error"), GONE),
    (429, anthropic("rate_limit_error"), LIMITED),
    (529, anthropic("overloaded_error"), OVERLOADED),
]
MISTRAL: list[Row] = [
    (400, mistral("invalid_model", "Invalid model: m-1", "1500"), GONE),
    (400, mistral(INVALID, "odd", "3051"), BAD),
    (401, {"message": "Unauthorized", "request_id": "x"}, AUTH),
    (401, {"detail": "Unauthorized"}, AUTH),
    (402, mistral("payment_required"), QUOTA),
    (403, mistral("subscription_error", "Inactive subscription or usage limit reached"), QUOTA),
    (403, mistral("forbidden", "Not yours"), AUTH),
    (404, {"message": "no Route matched with those values"}, BAD),
    (422, {"detail": [{"type": "missing", "loc": ["body"], "msg": "Field required"}]}, BAD),
    (422, {"object": "error", "message": {"detail": []}, "type": "invalid_request_error"}, BAD),
    (429, mistral("rate_limited", "Rate limit exceeded", "1300"), LIMITED),
    (429, mistral("service_tier_capacity_exceeded", "Service tier capacity", "3505"), LIMITED),
    (500, mistral("internal_server_error", "Service unavailable.", "3000"), SERVER),
    (503, mistral("internal_server_error"), OVERLOADED),
]
OLLAMA: list[Row] = [
    (400, {"error": "does not support thinking"}, BAD),
    (401, {"error": "unauthorized"}, AUTH),
    (404, {"error": "model 'm' not found"}, GONE),
    (429, {"error": "too many concurrent requests"}, LIMITED),
    (429, {"error": "you (a) have reached your hourly usage limit, upgrade"}, QUOTA),
    (500, {"error": "llama runner has terminated"}, SERVER),
    (503, {"error": "server busy, maximum pending requests exceeded"}, OVERLOADED),
]
AZURE: list[Row] = [
    (400, openai(None, "content_filter"), REFUSAL),
    (400, {"error": {"code": "BadRequest", "innererror": {"code": "content_filter"}}}, REFUSAL),
    (400, openai(None, "OperationNotSupported"), BAD),
    (401, openai(None, "401", "Access denied due to invalid subscription key"), AUTH),
    (401, {"statusCode": 401, "message": "Access denied"}, AUTH),
    (403, openai(None, "403", "Public access is disabled."), AUTH),
    (404, openai(None, "DeploymentNotFound"), GONE),
    (404, openai(None, "404", "Resource not found"), BAD),
    (408, openai("timeout", "Timeout"), SERVER),
    (429, openai(None, "429", "Rate limit is exceeded. Try again in 1 seconds."), LIMITED),
    (429, openai("insufficient_quota", "insufficient_quota"), QUOTA),
    (500, openai("server_error", "InternalServerError"), SERVER),
    (503, openai(None, "ServiceUnavailable"), OVERLOADED),
]
TABLE = {
    "anthropic": ANTHROPIC,
    "openai": [*OPENAI, *COMPATIBLE],
    "openai-responses": OPENAI,
    "gemini": GEMINI,
    "vertex": VERTEX,
    "mistral": MISTRAL,
    "ollama": OLLAMA,
    "azure-openai": AZURE,
}


@pytest.mark.parametrize(
    ("api", "status", "said", "outcome"), [(api, *row) for api in TABLE for row in TABLE[api]]
)
def test_an_error_answer_has_its_outcome(
    api: str, status: int, said: Any, outcome: Outcome
) -> None:
    assert ADAPTERS[api].classify(status, json.dumps(said).encode()).outcome is outcome


LIFE = "This model version has reached the end of its life."


@pytest.mark.parametrize("place", ["header", "address", "body"])
@pytest.mark.parametrize(
    ("status", "kind", "message", "outcome"),
    [
        (400, "ValidationException", "m", BAD),
        (400, "ValidationException", "The provided model identifier is invalid.", GONE),
        (400, "ServiceQuotaExceededException", "m", QUOTA),
        (403, "UnrecognizedClientException", "The security token is invalid.", AUTH),
        (403, "ExpiredTokenException", "m", AUTH),
        (403, "InvalidSignatureException", "m", AUTH),
        (403, "AccessDeniedException", "User: arn is not authorized to perform: x", AUTH),
        (403, "AccessDeniedException", "You don't have access to the model with the ID.", GONE),
        (404, "ResourceNotFoundException", LIFE, GONE),
        (408, "ModelTimeoutException", "m", SERVER),
        (424, "ModelErrorException", "m", SERVER),
        (429, "ThrottlingException", "Too many requests, please wait.", LIMITED),
        (429, "ThrottlingException", "Too many tokens per day, please wait.", QUOTA),
        (429, "ModelNotReadyException", "m", OVERLOADED),
        (500, "InternalServerException", "m", SERVER),
        (503, "ServiceUnavailableException", "m", OVERLOADED),
    ],
)
def test_amazon_names_an_error_in_a_header_or_in_the_body(
    place: str, status: int, kind: str, message: str, outcome: Outcome
) -> None:
    named = {"header": kind, "address": f"{kind}:http://internal.amazon.com/"}.get(place)
    headers = {"x-amzn-errortype": named} if named else {}
    body = amazon(message) if named else {"Message": message, "__type": f"com.amazon#{kind}"}
    failure = ADAPTERS["bedrock"].classify(status, json.dumps(body).encode(), headers)
    assert (failure.outcome, failure.detail) == (outcome, f"HTTP {status} {kind} {message}")
