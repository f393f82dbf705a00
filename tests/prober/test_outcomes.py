"""Status, code and message to outcome, for each API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prober.providers import ADAPTERS
from prober.providers.outcomes import by_status, name_in_stream
from prober.sample import Outcome

APIS = list(ADAPTERS)

BY_STATUS = {
    301: Outcome.SERVER_ERROR,
    302: Outcome.SERVER_ERROR,
    400: Outcome.BAD_REQUEST,
    401: Outcome.AUTH,
    402: Outcome.QUOTA_EXHAUSTED,
    403: Outcome.AUTH,
    404: Outcome.MODEL_NOT_FOUND,
    405: Outcome.BAD_REQUEST,
    408: Outcome.SERVER_ERROR,
    409: Outcome.SERVER_ERROR,
    410: Outcome.MODEL_NOT_FOUND,
    413: Outcome.BAD_REQUEST,
    422: Outcome.BAD_REQUEST,
    425: Outcome.SERVER_ERROR,
    429: Outcome.RATE_LIMITED,
    500: Outcome.SERVER_ERROR,
    502: Outcome.SERVER_ERROR,
    503: Outcome.OVERLOADED,
    504: Outcome.SERVER_ERROR,
    529: Outcome.OVERLOADED,
    599: Outcome.SERVER_ERROR,
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("status", "outcome"), BY_STATUS.items())
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error": "busy"}'])
def test_without_words_the_status_decides(
    api: str, status: int, outcome: Outcome, body: bytes
) -> None:
    assert ADAPTERS[api].classify(status, body).outcome is outcome
    assert by_status(status) is outcome


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


LIMITS = "You have reached your specified API usage limits. Access returns on 2026-01-01."
SAID: list[tuple[str, int, Any, Outcome]] = [
    ("anthropic", 400, anthropic("invalid_request_error"), Outcome.BAD_REQUEST),
    ("anthropic", 400, anthropic("invalid_request_error", LIMITS), Outcome.QUOTA_EXHAUSTED),
    (
        "anthropic",
        400,
        anthropic("invalid_request_error", "Your credit balance is too low to access"),
        Outcome.QUOTA_EXHAUSTED,
    ),
    ("anthropic", 401, anthropic("authentication_error"), Outcome.AUTH),
    ("anthropic", 402, anthropic("billing_error"), Outcome.QUOTA_EXHAUSTED),
    ("anthropic", 403, anthropic("permission_error"), Outcome.AUTH),
    ("anthropic", 404, anthropic("not_found_error"), Outcome.MODEL_NOT_FOUND),
    ("anthropic", 413, anthropic("request_too_large"), Outcome.BAD_REQUEST),
    ("anthropic", 429, anthropic("rate_limit_error"), Outcome.RATE_LIMITED),
    (
        "anthropic",
        429,
        anthropic("rate_limit_error", code="enforced_spend_limit_reached"),
        Outcome.QUOTA_EXHAUSTED,
    ),
    ("anthropic", 500, anthropic("api_error"), Outcome.SERVER_ERROR),
    ("anthropic", 504, anthropic("timeout_error"), Outcome.SERVER_ERROR),
    ("anthropic", 529, anthropic("overloaded_error"), Outcome.OVERLOADED),
    ("openai", 400, openai("invalid_request_error"), Outcome.BAD_REQUEST),
    ("openai", 401, openai("invalid_request_error", "invalid_api_key"), Outcome.AUTH),
    ("openai", 403, openai("invalid_request_error", "model_not_found"), Outcome.MODEL_NOT_FOUND),
    ("openai", 404, openai("invalid_request_error", "model_not_found"), Outcome.MODEL_NOT_FOUND),
    ("openai", 402, openai(None, 402, "Insufficient credits"), Outcome.QUOTA_EXHAUSTED),
    ("openai", 429, openai("requests", "rate_limit_exceeded"), Outcome.RATE_LIMITED),
    ("openai", 429, openai("tokens", "slow_down"), Outcome.RATE_LIMITED),
    ("openai", 429, openai("insufficient_quota", "insufficient_quota"), Outcome.QUOTA_EXHAUSTED),
    ("openai", 429, openai("x", "credit_balance_exhausted"), Outcome.QUOTA_EXHAUSTED),
    ("openai", 429, openai("x", "project_spend_limit_exceeded"), Outcome.QUOTA_EXHAUSTED),
    ("openai", 429, openai("x", "organization_usage_limit_exceeded"), Outcome.QUOTA_EXHAUSTED),
    ("openai", 429, openai("x", "billing_hard_limit_reached"), Outcome.QUOTA_EXHAUSTED),
    ("openai", 500, openai("server_error"), Outcome.SERVER_ERROR),
    ("openai", 503, openai("server_error"), Outcome.OVERLOADED),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT"), Outcome.BAD_REQUEST),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT", "API key not valid. Pass one."), Outcome.AUTH),
    (
        "gemini",
        400,
        gemini(400, "INVALID_ARGUMENT", "m", {"reason": "API_KEY_INVALID"}),
        Outcome.AUTH,
    ),
    ("gemini", 403, gemini(403, "PERMISSION_DENIED"), Outcome.AUTH),
    ("gemini", 404, gemini(404, "NOT_FOUND"), Outcome.MODEL_NOT_FOUND),
    (
        "gemini",
        429,
        gemini(429, "RESOURCE_EXHAUSTED", "m", quota("GenerateRequestsPerMinute")),
        Outcome.RATE_LIMITED,
    ),
    (
        "gemini",
        429,
        gemini(429, "RESOURCE_EXHAUSTED", "m", quota("GenerateRequestsPerDay")),
        Outcome.QUOTA_EXHAUSTED,
    ),
    ("gemini", 500, gemini(500, "INTERNAL"), Outcome.SERVER_ERROR),
    ("gemini", 503, gemini(503, "UNAVAILABLE"), Outcome.OVERLOADED),
    ("gemini", 504, gemini(504, "DEADLINE_EXCEEDED"), Outcome.SERVER_ERROR),
    ("ollama", 404, {"error": "model 'm' not found"}, Outcome.MODEL_NOT_FOUND),
    ("ollama", 429, {"error": "you have reached your hourly usage limit"}, Outcome.QUOTA_EXHAUSTED),
    (
        "ollama",
        503,
        {"error": "server busy, maximum pending requests exceeded"},
        Outcome.OVERLOADED,
    ),
    ("ollama", 500, {"error": "llama runner has terminated"}, Outcome.SERVER_ERROR),
    ("ollama", 400, {"error": "does not support thinking"}, Outcome.BAD_REQUEST),
]


@pytest.mark.parametrize(("api", "status", "said", "outcome"), SAID)
def test_an_error_answer_has_its_outcome(
    api: str, status: int, said: Any, outcome: Outcome
) -> None:
    assert ADAPTERS[api].classify(status, json.dumps(said).encode()).outcome is outcome


@pytest.mark.parametrize(
    ("api", "status", "codes", "message", "outcome"),
    [
        ("anthropic", 200, ["overloaded_error"], "", Outcome.STREAM_ERROR),
        ("anthropic", 200, ["rate_limit_error"], "", Outcome.RATE_LIMITED),
        ("anthropic", 200, ["authentication_error"], "", Outcome.AUTH),
        ("openai", 200, [], "", Outcome.STREAM_ERROR),
        ("openai", 402, [], "", Outcome.QUOTA_EXHAUSTED),
        ("openai", 404, [], "", Outcome.MODEL_NOT_FOUND),
        ("openai", 429, [], "", Outcome.RATE_LIMITED),
        ("openai", 400, [], "", Outcome.STREAM_ERROR),
        ("openai", 502, [], "", Outcome.STREAM_ERROR),
        ("openai", -7, [], "", Outcome.STREAM_ERROR),
        ("ollama", 200, [], "usage limit", Outcome.QUOTA_EXHAUSTED),
    ],
)
def test_inside_a_stream_only_the_account_and_capacity_keep_their_class(
    api: str, status: int, codes: list[str], message: str, outcome: Outcome
) -> None:
    assert name_in_stream(api, status, codes, message) is outcome


def test_the_detail_says_status_code_and_message_in_one_bounded_line() -> None:
    said = anthropic("overloaded_error", "Over\nloaded\x00 " + "x" * 9000)
    detail = ADAPTERS["anthropic"].classify(529, json.dumps(said).encode()).detail
    assert detail.startswith("HTTP 529 overloaded_error Over loaded x")
    assert len(detail) == 2000
