"""Rate-limit headers of every vendor, in one shape."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prober.providers.rate_limits import MAX_RESET_S, read
from prober.sample import Limits, Room
from tests.support.values import STEADY

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def anthropic(*kinds: str) -> dict[str, str]:
    numbers = {"requests": "4000", "tokens": "480000", "input-tokens": "400000"}
    found = {}
    for kind in kinds:
        base = f"anthropic-ratelimit-{kind}"
        found[f"{base}-limit"] = numbers[kind]
        found[f"{base}-remaining"] = str(int(numbers[kind]) - 1)
        found[f"{base}-reset"] = "2026-01-01T00:00:30Z"
    return found


@pytest.mark.parametrize(
    "kinds", [("requests", "input-tokens", "tokens"), ("tokens", "input-tokens", "requests")]
)
def test_anthropic_s_are_read_whatever_their_order(kinds: tuple[str, ...]) -> None:
    """ "tokens-limit" is also how "input-tokens-limit" ends."""
    assert read(anthropic(*kinds), NOW) == Limits(
        Room(4000, 3999, 30.0), Room(480_000, 479_999, 30.0)
    )


def test_anthropic_s_input_tokens_serve_where_there_is_no_sum() -> None:
    assert read(anthropic("input-tokens"), NOW) == Limits(tokens=Room(400_000, 399_999, 30.0))


def test_openai_s_spans_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "199968",
        "x-ratelimit-reset-tokens": "1m30s",
    }
    assert read(headers, NOW) == Limits(Room(10_000, 9_999, 0.012), Room(200_000, 199_968, 90.0))


def test_mistral_s_have_the_minute_in_their_names() -> None:
    headers = {
        "x-ratelimit-limit-req-minute": "720",
        "x-ratelimit-remaining-req-minute": "719",
        "x-ratelimit-limit-tokens-minute": "5000000",
        "x-ratelimit-remaining-tokens-minute": "4999968",
        "x-ratelimit-tokens-query-cost": "32",
    }
    assert read(headers, NOW) == Limits(Room(720, 719), Room(5_000_000, 4_999_968))


def test_openrouter_s_reset_is_a_moment_in_milliseconds() -> None:
    headers = {
        "x-ratelimit-limit": "20",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int((NOW + 42) * 1000)),
    }
    assert read(headers, NOW) == Limits(Room(20, 0, 42.0))


def test_a_gateway_may_put_a_word_before_them() -> None:
    headers = {
        "llm_provider-x-ratelimit-limit-tokens": "7",
        "llm_provider-x-ratelimit-remaining-tokens": "6",
    }
    assert read(headers, NOW) == Limits(tokens=Room(7, 6))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("59", 59.0),
        ("0.5", 0.5),
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("1.5s", 1.5),
        ("2026-01-01T00:01:00Z", 60.0),
        ("2026-01-01T01:01:00+01:00", 60.0),
        ("2026-01-01T00:01:00", 60.0),
        ("2025-12-31T00:00:00Z", 0.0),
        (str(NOW + 5), 5.0),
        (str((NOW + 5) * 1000), 5.0),
        ("-3", 0.0),
        ("soon", None),
        ("", None),
        ("5 minutes", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("999d", None),
        ("9999-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+23:59", 0.0),
        ("9" * 400, None),
        ("9" * 60_000 + "x", None),
        ("1s" * 30_000, None),
    ],
)
def test_a_reset_is_read_in_every_form(value: str, seconds: float | None) -> None:
    headers = {"x-ratelimit-limit-requests": "1", "x-ratelimit-reset-requests": value}
    assert read(headers, NOW) == Limits(Room(1, None, seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500.5"}, 1.501),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:09 GMT"}, 9.0),
        ({"retry-after": "Thursday, 01-Jan-26 00:00:09 GMT"}, 9.0),
        ({"retry-after": "Thu Jan  1 00:00:09 2026"}, 9.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:09 -0000"}, 9.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
    ],
)
def test_the_wait_that_is_asked_for_is_read_in_every_form(
    headers: dict[str, str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date without a zone is one of UTC, wherever this machine stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    found = read(headers, NOW)
    assert found is not None
    assert found.retry_after_s == pytest.approx(seconds, abs=0.001)
    assert (found.requests, found.tokens) == (Room(), Room())


@pytest.fixture(autouse=True)
def _zone_of_this_machine() -> Iterator[None]:
    yield
    time.tzset()


@pytest.mark.parametrize(
    "value",
    ["", "later", "nan", "inf", "9" * 30, "Thu, 99 Foo 2026 99:99:99 GMT", "(" * 60, "\x00"],
)
def test_a_wait_that_nobody_means_is_none(value: str) -> None:
    assert read({"retry-after": value}, NOW) is None


@pytest.mark.parametrize(
    ("value", "count"),
    [("7", 7), (" 7 ", 7), ("-7", None), ("7.5", None), ("9" * 99, None), ("७", None), ("", None)],
)
def test_only_a_sensible_number_is_a_count(value: str, count: int | None) -> None:
    headers = {"x-ratelimit-limit-requests": value, "x-ratelimit-remaining-requests": "3"}
    assert read(headers, NOW) == Limits(Room(count, 3))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "x", "x-request-id": "7"},
        {"x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-policy": "7"},
        {"ratelimit": "limit=7"},
    ],
)
def test_silence_is_none(headers: dict[str, str]) -> None:
    assert read(headers, NOW) is None


NAMES = [
    *("x-ratelimit-limit-requests", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens"),
    *("x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-reset", "x-ratelimit-reset"),
    *("x-ratelimit-limit", "anthropic-ratelimit-tokens-limit", "retry-after", "retry-after-ms"),
]
VALUES = st.text(st.characters(codec="latin-1"), max_size=40) | st.from_regex(
    r"-?[0-9.eE+]{1,20}(ms|s|m|h|d|Z|T|:)?[0-9]{0,4}", fullmatch=True
)


@settings(STEADY, max_examples=60)
@example({"retry-after": "Mon, 1 Jan 0 0:0:0 +99999999"})
@example({"retry-after": "1 1 1 1 1 1 1 1"})
@given(st.dictionaries(st.sampled_from(NAMES), VALUES | st.dates().map(str)))
def test_values_of_any_shape_neither_raise_nor_give_nonsense(headers: dict[str, str]) -> None:
    found = read(headers, NOW)
    if found is None:
        return
    for seconds in (found.requests.reset_s, found.tokens.reset_s, found.retry_after_s):
        assert seconds is None or 0 <= seconds < MAX_RESET_S
    for room in (found.requests, found.tokens):
        assert all(count is None or count >= 0 for count in (room.limit, room.remaining))
