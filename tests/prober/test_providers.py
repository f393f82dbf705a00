"""What is asked of each API, and how what it answers reads."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from golden import CASES, GOLDEN
from hypothesis import given
from hypothesis import strategies as st
from prober_values import STEADY

from prober.canary import Canary
from prober.config import Price
from prober.probe import Plan
from prober.providers import ADAPTERS
from prober.providers.adapter import MAX_DETAIL, MAX_REQUEST_ID
from prober.providers.base import (
    Request,
    Target,
    TooLargeError,
    count_of,
    error_object,
    parse_json,
)
from prober.sample import Outcome, Tokens
from prober.transcript import Transcript

CANARY = Canary("ab12")
KEY = "sk-very-secret-0123456789"
APIS = list(ADAPTERS)

OUTCOMES = {
    "success": Outcome.OK,
    "reasoning": Outcome.OK,
    "refusal": Outcome.REFUSAL,
    "blocked": Outcome.REFUSAL,
    "length": Outcome.BUDGET_TOO_SMALL,
    "error": Outcome.STREAM_ERROR,
    "truncated": Outcome.STREAM_TRUNCATED,
    "empty": Outcome.EMPTY_COMPLETION,
}
TOKENS = {
    "anthropic": Tokens(input=25, output=4, cached=3),
    "openai": Tokens(input=25, output=4, reasoning=2, cached=3),
    # Thoughts come on top of the candidates here, and are billed with them.
    "gemini": Tokens(input=25, output=6, reasoning=2, cached=3),
    "ollama": Tokens(input=25, output=4),
}


def read(api: str, *chunks: bytes) -> Transcript:
    reader, transcript = ADAPTERS[api].reader(), Transcript()
    for chunk in chunks:
        for event in reader.feed(chunk):
            transcript.take(event, 0.0)
    for event in reader.close():
        transcript.take(event, 0.0)
    return transcript


@pytest.mark.parametrize(("api", "case"), CASES)
def test_a_documented_stream_has_its_outcome(api: str, case: str) -> None:
    assert read(api, GOLDEN[api][case]).conclude(CANARY)[0] is OUTCOMES[case]


@pytest.mark.parametrize("api", APIS)
def test_a_whole_answer_gives_its_text_and_its_counts(api: str) -> None:
    transcript = read(api, GOLDEN[api]["success"])
    assert (transcript.text, transcript.terminal) == ("ab12", True)
    assert transcript.tokens == TOKENS[api]
    assert transcript.first_reasoning_s is None


@pytest.mark.parametrize("api", APIS)
def test_reasoning_is_seen_and_is_not_the_answer(api: str) -> None:
    transcript = read(api, GOLDEN[api]["reasoning"])
    assert transcript.first_reasoning_s is not None
    assert transcript.text == "ab12"


@pytest.mark.parametrize(("api", "case"), CASES)
def test_the_end_of_a_line_may_be_missing_at_the_very_end(api: str, case: str) -> None:
    whole = GOLDEN[api][case]
    assert read(api, whole.rstrip()) == read(api, whole)


@pytest.mark.parametrize(("api", "case"), CASES)
@STEADY
@given(cuts=st.lists(st.integers(1, 2_000), max_size=12))
def test_a_stream_reads_the_same_wherever_it_is_split(api: str, case: str, cuts: list[int]) -> None:
    whole = GOLDEN[api][case]
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    chunks = [whole[a:b] for a, b in pairwise(places)]
    assert read(api, *chunks) == read(api, whole)


@pytest.mark.parametrize(("api", "case"), CASES)
def test_a_stream_reads_the_same_byte_by_byte(api: str, case: str) -> None:
    whole = GOLDEN[api][case]
    assert read(api, *(whole[at : at + 1] for at in range(len(whole)))) == read(api, whole)


@pytest.mark.parametrize("api", APIS)
def test_a_stream_cut_anywhere_before_its_end_is_never_ok(api: str) -> None:
    whole = GOLDEN[api]["success"]
    marker = {"anthropic": b"event: message_stop", "openai": b"data: [DONE]"}
    last = whole.rindex(marker.get(api, b"{" if api == "ollama" else b"data: "))
    for end in range(last):
        assert read(api, whole[:end]).conclude(CANARY)[0] is not Outcome.OK


def never_raises(api: str, data: bytes) -> None:
    try:
        outcome, detail = read(api, data).conclude(CANARY)
    except TooLargeError:
        return
    assert outcome is not Outcome.OK or b"ab12" in data
    assert len(detail) <= MAX_DETAIL
    failure = ADAPTERS[api].classify(500, data)
    assert len(failure.detail) <= MAX_DETAIL
    assert failure.detail.isprintable()


@pytest.mark.parametrize("api", APIS)
@STEADY
@given(st.binary(max_size=400))
def test_random_bytes_never_raise(api: str, data: bytes) -> None:
    never_raises(api, data)
    never_raises(api, b"data: " + data + b"\n\n")


KEYS = [
    *("type", "delta", "text", "message", "usage", "error", "choices", "content", "finish_reason"),
    *("candidates", "parts", "promptFeedback", "finishReason", "usageMetadata", "done", "event"),
    *("done_reason", "details", "code", "status", "input_tokens", "stop_reason", "violations"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("api", APIS)
@STEADY
@given(said=JSON, kind=st.sampled_from(["", "error", "message_start", "message_delta", "x"]))
def test_json_of_any_shape_never_raises(api: str, said: Any, kind: str) -> None:
    text = json.dumps(said).encode()
    never_raises(api, text + b"\n")
    never_raises(api, b"event: " + kind.encode() + b"\ndata: " + text + b"\n\n")
    if isinstance(said, dict):
        never_raises(api, b"data: " + json.dumps({**said, "type": kind}).encode() + b"\n\n")


HOSTILE = {
    "deep nesting": b'{"error":' + b"[" * 100_000,
    "deep nesting that ends": b'{"error":' + b"[" * 900 + b"]" * 900 + b"}",
    "broken UTF-8": b'{"error": "\xff\xfe\xc3"}',
    "a lone surrogate": b'{"error": {"message": "\\ud800"}}',
    "a number too long for an int": b'{"error": {"code": 1' + b"0" * 5_000 + b"}}",
    "terminal escapes": b'{"error": {"message": "\\u001b[2J\\u202e\\u0000"}}',
    "a null": b"null",
    "an empty list": b"[]",
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_neither_raise_nor_pass(api: str, name: str) -> None:
    never_raises(api, HOSTILE[name])
    never_raises(api, b"data: " + HOSTILE[name] + b"\n\n")


@pytest.mark.parametrize("depth", range(880, 1000, 7))
def test_nesting_near_the_limit_of_the_parser_does_not_raise(depth: int) -> None:
    body = b'{"error":' + b"[" * depth + b"]" * depth + b"}"
    for api in APIS:
        never_raises(api, body)


@pytest.mark.parametrize("api", APIS)
def test_a_line_of_ten_megabytes_is_refused(api: str) -> None:
    with pytest.raises(TooLargeError):
        read(api, b"data: " + b"x" * 10_000_000)


# -- requests --------------------------------------------------------------------------------------


def target(**changes: Any) -> Target:
    return replace(Target("https://h.example", "m-1", KEY), **changes)


def build(api: str, **changes: Any) -> Request:
    return ADAPTERS[api].build(target(**changes), "ab12\nSay it.", 16)


def test_anthropic_is_asked_as_documented() -> None:
    request = build("anthropic")
    assert (request.method, request.url) == ("POST", "https://h.example/v1/messages")
    assert request.headers == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": KEY,
    }
    assert json.loads(request.body) == {
        "model": "m-1",
        "max_tokens": 16,
        "stream": True,
        "messages": [{"role": "user", "content": "ab12\nSay it."}],
    }


@pytest.mark.parametrize("field", ["max_completion_tokens", "max_tokens"])
def test_openai_is_asked_as_documented(field: str) -> None:
    request = build("openai", base_url="https://h.example/v1", max_tokens_field=field)
    assert (request.method, request.url) == ("POST", "https://h.example/v1/chat/completions")
    assert request.headers == {
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
    }
    assert json.loads(request.body) == {
        "model": "m-1",
        "messages": [{"role": "user", "content": "ab12\nSay it."}],
        field: 16,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("model", "path"), [("m-1", "m-1"), ("models/m-1", "m-1"), ("a/b?c", "a%2Fb%3Fc")]
)
def test_gemini_is_asked_as_documented(model: str, path: str) -> None:
    request = build("gemini", model=model)
    assert request.method == "POST"
    url = f"https://h.example/v1beta/models/{path}:streamGenerateContent?alt=sse"
    assert request.url == url
    assert request.headers == {"content-type": "application/json", "x-goog-api-key": KEY}
    assert json.loads(request.body) == {
        "contents": [{"role": "user", "parts": [{"text": "ab12\nSay it."}]}],
        "generationConfig": {"maxOutputTokens": 16},
    }


def test_ollama_is_asked_as_documented() -> None:
    request = build("ollama")
    assert (request.method, request.url) == ("POST", "https://h.example/api/chat")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.body) == {
        "model": "m-1",
        "messages": [{"role": "user", "content": "ab12\nSay it."}],
        "stream": True,
        "think": False,
        "options": {"num_predict": 16},
    }


@pytest.mark.parametrize("api", APIS)
def test_without_a_key_no_key_header_is_sent(api: str) -> None:
    names = {name.lower() for name in build(api, key="").headers}
    assert names <= {"content-type", "anthropic-version"}


@pytest.mark.parametrize("api", APIS)
def test_a_provider_s_own_headers_win(api: str) -> None:
    headers = build(api, headers={"x-portkey-provider": "x", "content-type": "text/x"}).headers
    assert (headers["x-portkey-provider"], headers["content-type"]) == ("x", "text/x")


@pytest.mark.parametrize("api", APIS)
def test_the_key_is_in_no_url_no_body_and_no_repr(api: str) -> None:
    request = build(api, headers={"helicone-auth": f"Bearer {KEY}"})
    plan = Plan("a", api, target(headers={"helicone-auth": KEY}), price=Price())
    assert KEY not in request.url
    assert KEY.encode() not in request.body
    for value in (request, plan, plan.target):
        assert KEY not in repr(value)
        assert KEY not in str(value)


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("anthropic", "request-id"),
        ("openai", "x-request-id"),
        ("gemini", "x-goog-request-id"),
        ("ollama", "x-request-id"),
    ],
)
def test_the_request_s_id_is_read_and_bounded(api: str, name: str) -> None:
    adapter = ADAPTERS[api]
    assert adapter.request_id({name: "req_1"}) == "req_1"
    assert adapter.request_id({}) is None
    assert len(adapter.request_id({name: "x" * 60_000}) or "") == MAX_REQUEST_ID


@pytest.mark.parametrize(
    ("value", "count"),
    [(7, 7), (0, 0), (True, None), ("7", None), (7.0, None), (-1, None), (10**400, None)],
)
def test_only_a_sensible_number_is_a_count(value: Any, count: int | None) -> None:
    assert count_of(value) == count


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": {"message": "m"}}', {"message": "m"}),
        (b'[{"error": {"message": "m"}}]', {"message": "m"}),
        (b'{"message": "m"}', {"message": "m"}),
        (b'{"error": "m"}', {"message": "m"}),
        (b"<html>\xff", {"message": "<html>\ufffd"}),
    ],
)
def test_an_error_is_found_wherever_the_api_keeps_it(body: bytes, error: dict[str, str]) -> None:
    assert error_object(body) == error


def test_what_is_no_json_reads_as_nothing() -> None:
    assert parse_json(b"{") is None
    assert parse_json(b"\xff") is None


def test_openai_reads_what_compatible_servers_say() -> None:
    error = {"error": {"message": "credits", "code": 402}}
    transcript = read("openai", b"data: " + json.dumps(error).encode() + b"\n\n")
    assert transcript.conclude(CANARY) == (Outcome.QUOTA_EXHAUSTED, "HTTP 402 credits")
    event = b'event: error\ndata: {"message": "gone"}\n\n'
    assert read("openai", event).conclude(CANARY) == (Outcome.STREAM_ERROR, "gone")
    mistral = {"choices": [{"delta": {"content": "ab12"}, "finish_reason": "error"}]}
    stopped = read("openai", b"data: " + json.dumps(mistral).encode() + b"\n\ndata: [DONE]\n\n")
    assert stopped.conclude(CANARY)[0] is Outcome.STREAM_ERROR


def test_a_gemini_quota_of_the_day_inside_a_stream_is_the_account_s() -> None:
    violations = [{"quotaId": "GenerateRequestsPerDayPerProject"}]
    error = {
        "error": {
            "code": 429,
            "message": "quota",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"violations": violations}, "odd", {"violations": 3}, {"reason": "R"}],
        }
    }
    found = read("gemini", json.dumps(error, indent=1).encode()).conclude(CANARY)[0]
    assert found is Outcome.QUOTA_EXHAUSTED


def test_a_gemini_finish_nobody_knows_is_an_error() -> None:
    said = {"candidates": [{"finishReason": "MALFORMED"}]}
    transcript = read("gemini", b"data: " + json.dumps(said).encode() + b"\n\n")
    assert transcript.conclude(CANARY)[0] is Outcome.STREAM_ERROR
