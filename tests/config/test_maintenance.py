"""When a maintenance window runs: once or each week, in local time, over daylight saving."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.config.maintenance import Once, Weekly, Window, WindowAction

BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY = frozenset({6})


def at(text: str) -> float:
    """Seconds since the epoch of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def weekly(begin: str, end: str, **changes: object) -> Window:
    when = Weekly(SUNDAY, time.fromisoformat(begin), time.fromisoformat(end))
    return Window("w", when, BERLIN, **changes)  # type: ignore[arg-type]


def once(start: str, end: str, **changes: object) -> Window:
    when = Once(datetime.fromisoformat(start), datetime.fromisoformat(end))
    return Window("w", when, BERLIN, **changes)  # type: ignore[arg-type]


def test_a_window_begins_with_its_first_second_and_ends_before_its_last() -> None:
    window = once("2026-12-01T22:00", "2026-12-02T02:00")
    moments = ("01T20:59:59", "01T21:00", "02T00:59:59", "02T01:00")
    assert [window.runs(at(f"2026-12-{m}")) for m in moments] == [False, True, True, False]


def test_a_moment_with_an_offset_of_its_own_needs_no_zone() -> None:
    window = once("2026-12-01T22:00+00:00", "2026-12-01T23:00+00:00")
    assert not window.runs(at("2026-12-01T21:30"))
    assert window.runs(at("2026-12-01T22:30"))


def test_a_window_over_midnight_belongs_to_the_day_it_begins_on() -> None:
    window = weekly("23:00", "02:00")
    assert window.runs(at("2026-11-22T22:30"))  # Sunday 23:30 in Berlin
    assert window.runs(at("2026-11-23T00:30"))  # Monday 01:30
    assert not window.runs(at("2026-11-22T00:30"))  # Sunday 01:30


@pytest.mark.parametrize(
    ("begin", "end", "start", "hours"),
    [
        # The night of 29 March 2026 has no 02:00 to 03:00.
        ("01:00", "04:00", "2026-03-29T00:00", 2),
        ("02:30", "04:00", "2026-03-29T00:30", 1.5),
        # That of 25 October 2026 has it twice: both count.
        ("01:00", "04:00", "2026-10-24T23:00", 4),
        ("02:30", "04:00", "2026-10-25T00:30", 2.5),
        ("01:00", "02:30", "2026-10-24T23:00", 2.5),
    ],
)
def test_daylight_saving_makes_a_night_shorter_or_longer(
    begin: str, end: str, start: str, hours: float
) -> None:
    span = weekly(begin, end).span(at(start) - 60)
    assert span is not None
    assert (span.start, span.end - span.start) == (at(start), hours * 3600)


@pytest.mark.parametrize(
    ("begin", "end", "from_utc", "until_utc"),
    [
        ("02:30", "03:15", "00:30", "01:15"),  # begins in the hour that is left out
        ("01:30", "02:30", "00:30", "01:30"),  # ends in it
        ("02:10", "02:50", "00:10", "01:50"),  # lies in it
    ],
)
def test_a_window_in_the_hour_that_is_left_out_runs_all_the_same(
    begin: str, end: str, from_utc: str, until_utc: str
) -> None:
    span = weekly(begin, end).span(at("2026-03-29T00:00"))
    assert span is not None
    assert (span.start, span.end) == (at(f"2026-03-29T{from_utc}"), at(f"2026-03-29T{until_utc}"))


def test_the_same_local_time_holds_on_both_sides_of_the_change() -> None:
    window = weekly("04:00", "05:00")
    assert window.runs(at("2026-03-22T03:30"))  # winter: UTC+1
    assert window.runs(at("2026-04-05T02:30"))  # summer: UTC+2


def test_a_window_that_has_passed_has_no_next_one() -> None:
    assert once("2026-01-01T00:00", "2026-01-02T00:00").span(at("2026-06-01")) is None


def test_a_drain_begins_ahead_and_a_mute_never_drains() -> None:
    drain = once("2026-12-01T22:00", "2026-12-01T23:00", action=WindowAction.DRAIN, lead_s=600.0)
    mute = once("2026-12-01T22:00", "2026-12-01T23:00", action=WindowAction.MUTE)
    assert [drain.drains(at(f"2026-12-01T{t}")) for t in ("20:49", "20:50", "21:30", "22:00")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not mute.drains(at("2026-12-01T21:30"))


def test_a_window_turns_when_it_drains_begins_and_ends() -> None:
    drained = once("2026-12-01T10:00+00:00", "2026-12-01T11:00+00:00", action=WindowAction.DRAIN)
    turns, now = [], at("2026-12-01T00:00")
    while (now := drained.turn(now)) != math.inf:
        turns.append(now)
    assert turns == [at(f"2026-12-01T{t}") for t in ("09:55", "10:00", "11:00")]
    muted = once("2026-12-01T10:00+00:00", "2026-12-01T11:00+00:00")
    assert muted.turn(at("2026-12-01T09:00")) == at("2026-12-01T10:00")


@given(st.floats(1.7e9, 1.9e9))
def test_between_two_turns_a_weekly_window_stays_as_it_is(now: float) -> None:
    window = weekly("01:30", "03:15", action=WindowAction.DRAIN)
    turns = window.turn(now)
    assert turns > now
    for moment in (now, (now + turns) / 2, turns - 1e-3):
        assert window.runs(moment) == window.runs(now)
        assert window.drains(moment) == window.drains(now)


def test_a_window_covers_its_provider_everywhere_or_its_route_whole() -> None:
    assert weekly("01:00", "02:00", provider="a").covers("chat", "a")
    assert not weekly("01:00", "02:00", provider="a").covers("chat", "b")
    assert weekly("01:00", "02:00", route="chat").covers("chat", "b")


@given(st.floats(at("2026-01-01"), at("2027-12-31")))
def test_an_occurrence_found_never_lies_in_the_past_and_at_most_a_week_ahead(now: float) -> None:
    span = weekly("02:30", "02:00").span(now)
    assert span is not None
    assert span.end > now
    assert span.start - now <= 8 * 86400
    assert span.end > span.start
