"""Status, code and message to outcome, for each API."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from prober.config.loader import parse
from prober.emulator.apis import APIS as EMULATED
from prober.emulator.wire import EmulatedApi, RefusalKind, RefusedRequest, Stamp
from prober.providers import ADAPTERS
from prober.providers.outcomes import OutcomeRow, by_status, name_in_stream, rules_of
from prober.sample import Cause, Outcome

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
    424: Outcome.SERVER_ERROR,
    425: Outcome.SERVER_ERROR,
    429: Outcome.RATE_LIMITED,
    444: Outcome.SERVER_ERROR,
    460: Outcome.SERVER_ERROR,
    498: Outcome.OVERLOADED,
    499: Outcome.SERVER_ERROR,
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
    """Unless it is not the API that refuses: see test_stranger.py."""
    if status == 404 and b"error" not in body:
        outcome = Outcome.BAD_REQUEST
    if (status in (401, 403) and b"html" in body) or (status == 403 and not body):
        outcome = Outcome.SERVER_ERROR
    assert ADAPTERS[api].classify(status, body).outcome is outcome


@pytest.mark.parametrize(("status", "outcome"), BY_STATUS.items())
def test_each_status_has_its_outcome(status: int, outcome: Outcome) -> None:
    assert by_status(status) is outcome


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
        ("openai-responses", 200, ["server_error"], "", Outcome.STREAM_ERROR),
        ("openai-responses", 200, ["rate_limit_exceeded"], "", Outcome.RATE_LIMITED),
        ("gemini", 503, ["UNAVAILABLE"], "", Outcome.STREAM_ERROR),
        ("gemini", 429, ["RESOURCE_EXHAUSTED"], "", Outcome.RATE_LIMITED),
        ("gemini", 429, ["RESOURCE_EXHAUSTED"], "RequestsPerDay", Outcome.QUOTA_EXHAUSTED),
        ("vertex", 200, ["overloaded_error"], "", Outcome.STREAM_ERROR),
        ("mistral", 200, ["1300", "rate_limited"], "", Outcome.RATE_LIMITED),
        ("mistral", 500, ["3000"], "", Outcome.STREAM_ERROR),
        ("bedrock", 200, ["ThrottlingException"], "", Outcome.RATE_LIMITED),
        ("bedrock", 200, ["ServiceUnavailableException"], "", Outcome.STREAM_ERROR),
        ("azure-openai", 200, ["content_filter"], "", Outcome.STREAM_ERROR),
    ],
)
def test_inside_a_stream_only_the_account_and_capacity_keep_their_class(
    api: str, status: int, codes: list[str], message: str, outcome: Outcome
) -> None:
    assert name_in_stream(api, status, codes, message).outcome is outcome


def test_the_detail_says_status_code_and_message_in_one_bounded_line() -> None:
    error = {"type": "overloaded_error", "message": "Over\nloaded\x00 " + "x" * 9000}
    said = {"type": "error", "error": error}
    detail = ADAPTERS["anthropic"].classify(529, json.dumps(said).encode()).detail
    assert detail.startswith("HTTP 529 overloaded_error Over loaded x")
    assert len(detail) == 2000


# -- the configuration's own rows ------------------------------------------------------------------

BUSY = b'{"error": {"message": "It is BUSY with others", "type": "warming", "code": "cold"}}'


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (OutcomeRow(Outcome.OVERLOADED), True),
        (OutcomeRow(Outcome.OVERLOADED, ("openai",)), True),
        (OutcomeRow(Outcome.OVERLOADED, ("anthropic",)), False),
        (OutcomeRow(Outcome.OVERLOADED, status=429), True),
        (OutcomeRow(Outcome.OVERLOADED, status=503), False),
        (OutcomeRow(Outcome.OVERLOADED, code="cold"), True),
        (OutcomeRow(Outcome.OVERLOADED, code="warming"), True),
        (OutcomeRow(Outcome.OVERLOADED, code="warm"), False),
        (OutcomeRow(Outcome.OVERLOADED, says="busy"), True),
        (OutcomeRow(Outcome.OVERLOADED, says="cold"), True),
        (OutcomeRow(Outcome.OVERLOADED, says="idle"), False),
        (OutcomeRow(Outcome.OVERLOADED, ("openai",), 429, "cold", "with others"), True),
        (OutcomeRow(Outcome.OVERLOADED, ("openai",), 429, "cold", "idle"), False),
        (OutcomeRow(Outcome.OVERLOADED, ("openai",), 500, "cold", "busy"), False),
    ],
)
def test_every_condition_of_a_row_must_hold(rule: OutcomeRow, matches: bool) -> None:
    found = ADAPTERS["openai"].classify(429, BUSY, rules=(rule,)).outcome
    assert found is (Outcome.OVERLOADED if matches else Outcome.RATE_LIMITED)


def test_the_configuration_s_rows_come_first_and_in_their_order() -> None:
    body = b'{"error": {"message": "m", "code": "insufficient_quota"}}'
    rules = (
        OutcomeRow(Outcome.SERVER_ERROR, code="other"),
        OutcomeRow(Outcome.REFUSAL, code="insufficient_quota"),
        OutcomeRow(Outcome.AUTH),
    )
    classify = ADAPTERS["openai"].classify
    assert classify(429, body, rules=rules).outcome is Outcome.REFUSAL
    assert classify(429, body, rules=rules[2:]).outcome is Outcome.AUTH
    assert classify(429, body).outcome is Outcome.QUOTA_EXHAUSTED


def test_a_row_of_the_configuration_names_errors_inside_a_stream_too() -> None:
    """Even where the built-in table would say `stream_error`."""
    rules = (OutcomeRow(Outcome.OVERLOADED, status=500, says="warming"),)
    found = name_in_stream("openai", 200, [], "Warming up", rules)
    assert found.outcome is Outcome.OVERLOADED
    assert name_in_stream("openai", 200, [], "gone", rules).outcome is Outcome.STREAM_ERROR


def test_a_refusal_that_the_configuration_names_is_not_unknown() -> None:
    """So what was answered before never weighs it."""
    body = b'{"error": {"message": "m"}}'
    classify = ADAPTERS["openai"].classify
    assert classify(413, body).cause is Cause.UNKNOWN
    named = classify(413, body, rules=(OutcomeRow(Outcome.BAD_REQUEST, status=413),))
    assert (named.outcome, named.cause) == (Outcome.BAD_REQUEST, Cause.NONE)


FILE = """
[[provider]]
name = "a"
api = "openai"
model = "m"

[[provider]]
name = "b"
api = "openai"
model = "m"

[[outcome]]
outcome = "overloaded"
provider = "a"
says = "BUSY"

[[outcome]]
outcome = "refusal"
api = "openai"
status = 429
code = "cold"
"""


def test_a_row_for_one_provider_holds_for_that_one_alone() -> None:
    config = parse(FILE)
    found = {
        provider.name: ADAPTERS["openai"]
        .classify(429, BUSY, rules=rules_of(config.outcome, provider.name))
        .outcome
        for provider in config.provider
    }
    assert found == {"a": Outcome.OVERLOADED, "b": Outcome.REFUSAL}


# -- the emulator's errors, which its tests check against the SDKs ---------------------------------

STAMP = Stamp("0" * 24, datetime(2026, 1, 1, tzinfo=UTC))
OF_KIND = {
    RefusalKind.NO_KEY: Outcome.AUTH,
    RefusalKind.AUTH: Outcome.AUTH,
    RefusalKind.QUOTA: Outcome.QUOTA_EXHAUSTED,
    RefusalKind.MODEL_NOT_FOUND: Outcome.MODEL_NOT_FOUND,
    RefusalKind.BAD_REQUEST: Outcome.BAD_REQUEST,
}


# Where the words say more than the status.
TELLING = {
    ("mistral", 403): Outcome.QUOTA_EXHAUSTED,
    ("bedrock", 403): Outcome.MODEL_NOT_FOUND,
}


# Their usual words for a 404 name no model: a path that is not theirs is refused so.
NAMELESS = frozenset({"anthropic", "azure-openai", "mistral", "ollama"})


def classified(api: EmulatedApi, problem: RefusedRequest) -> Outcome:
    refusal = api.refuse(problem)
    body = json.dumps(refusal.body).encode()
    return ADAPTERS[api.name].classify(refusal.status, body, refusal.headers).outcome


@pytest.mark.parametrize("api", EMULATED, ids=lambda api: f"{api.name} {api.paths[0]}")
@pytest.mark.parametrize("kind", OF_KIND)
def test_what_the_emulator_says_of_the_account_is_understood(
    api: EmulatedApi, kind: RefusalKind
) -> None:
    problem = RefusedRequest(kind, STAMP, model="m-1", message="x: odd")
    # A local server asks for no key.
    assert classified(api, problem) is OF_KIND[kind]


@pytest.mark.parametrize("api", EMULATED, ids=lambda api: f"{api.name} {api.paths[0]}")
@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504, 529])
def test_what_the_emulator_says_with_a_status_is_understood(api: EmulatedApi, status: int) -> None:
    refusal = api.refuse(RefusedRequest(RefusalKind.STATUS, STAMP, "m-1", status))
    wanted = BY_STATUS[refusal.status]
    wanted = TELLING.get((api.name, status), wanted)
    if refusal.status == 404 and (api.name in NAMELESS or "publishers/anthropic" in api.paths[0]):
        wanted = Outcome.BAD_REQUEST
    if b"api_error" in json.dumps(refusal.body).encode():
        wanted = Outcome.SERVER_ERROR  # Anthropic knows no 503; it is said as a 500 is
    assert classified(api, RefusedRequest(RefusalKind.STATUS, STAMP, "m-1", status)) is wanted
