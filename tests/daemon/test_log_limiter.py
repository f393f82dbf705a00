"""The log tells a failure once, then how often it came again."""

from __future__ import annotations

from dataclasses import replace

from prober.daemon.log_limiter import EVERY_S, FINE_AGAIN, LogLimiter
from prober.sample import Outcome, Phases, Sample

OK = Sample("id", "a", "local", "m", 0.0, 0.0, Outcome.OK, Phases())
BAD = replace(OK, outcome=Outcome.OVERLOADED, detail="HTTP 529 Busy")
LATE = replace(OK, outcome=Outcome.TIMEOUT_TOTAL, detail="no end")


def lines(*samples: Sample, step_s: float = 3.0) -> list[str]:
    repeats = LogLimiter()
    return [
        line for at, sample in enumerate(samples) if (line := repeats.line(sample, at * step_s))
    ]


def test_the_same_failure_is_told_once_and_then_counted_every_ten_minutes() -> None:
    assert lines(*[BAD] * 200) == ["a: overloaded: HTTP 529 Busy"]
    assert lines(*[BAD] * 201) == [
        "a: overloaded: HTTP 529 Busy",
        "a: overloaded: HTTP 529 Busy (199 more in the last 10 min)",
    ]
    assert EVERY_S == 200 * 3.0


def test_another_failure_is_told_and_so_is_another_providers() -> None:
    other = replace(BAD, provider="b")
    assert lines(BAD, LATE, BAD, other, LATE) == [
        "a: overloaded: HTTP 529 Busy",
        "a: timeout_total: no end",
        "b: overloaded: HTTP 529 Busy",
    ]


def test_a_failure_after_some_good_canaries_is_a_new_one() -> None:
    assert len(lines(BAD, OK, BAD, OK, BAD)) == 1, "one that comes and goes is the same"
    assert len(lines(BAD, *[OK] * FINE_AGAIN, BAD)) == 2


def test_a_rare_failure_is_told_each_time_without_a_count() -> None:
    assert lines(BAD, BAD, step_s=EVERY_S) == ["a: overloaded: HTTP 529 Busy"] * 2


def test_good_canaries_are_no_news() -> None:
    assert lines(OK, OK) == []


def test_a_failure_that_nobody_foresaw_is_news_once_for_each_kind_of_it() -> None:
    repeats = LogLimiter()
    errors = [KeyError("x"), KeyError("y"), OverflowError("z")]
    assert [repeats.startled("a", error) for error in errors] == [True, False, True]
    assert repeats.startled("b", KeyError("x"))
