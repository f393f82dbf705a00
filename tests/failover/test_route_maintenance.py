"""Maintenance windows and peaks in a route: what of them a decision sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import pytest

from prober.config import loader
from prober.config.loader import ConfigError
from prober.config.schema import Config
from prober.failover.decision_view import view_of
from prober.failover.memory import Memory
from prober.failover.route_state import RouteState, Standing
from prober.sample import Limits, Outcome, Phases, Room, Sample
from switch.control.lease import Lease
from switch.control.target import ProviderView
from switch.flag import Health

BASE = """
[[provider]]
name = "a"
api = "ollama"
model = "m"

[[provider]]
name = "b"
api = "ollama"
model = "m"

[[route]]
name = "chat"
candidates = ["a", "b"]
peak_rpm = 1200
peak_tpm = 100000
"""
ONCE = """
[[maintenance]]
name = "upgrade"
provider = "a"
start = 2026-12-01T22:00:00Z
end = 2026-12-01T23:00:00Z
reason = "new disks"
"""


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-12-01T{text}").replace(tzinfo=UTC).timestamp()


def state_of(*more: str) -> RouteState:
    config: Config = loader.parse(BASE + "".join(more))
    return RouteState(config, config.route[0], cast(Lease, None), Memory())


def seen(state: RouteState, now: float, name: str = "a") -> ProviderView:
    state.maintain(now)
    found = view_of(state, Standing(now, round(now * 1000), {})).provider(name)
    assert found is not None
    return found


def good(state: RouteState, now: float, limits: Limits | None = None) -> None:
    """Four good canaries just before `now`."""
    for number in range(4):
        started = now - 8 + 2 * number
        state.trackers["a"].ended(
            Sample(
                f"{now}-{number}", "a", "here", "m", started, started, Outcome.OK,
                Phases(first_byte_s=0.1, first_text_s=0.2, total_s=0.3), limits=limits,
            )
        )  # fmt: skip


def test_inside_a_window_a_provider_is_unknown_and_afterwards_too() -> None:
    state = state_of(ONCE)
    good(state, at("21:30"))
    assert seen(state, at("21:30")).proven
    inside = seen(state, at("22:30"))
    assert (inside.health, inside.why) == (
        Health.UNKNOWN,
        "maintenance until 23:00 UTC (new disks)",
    )
    assert (inside.proven, inside.drained) == (False, False)
    after = seen(state, at("23:00"))
    assert (after.health, after.maintenance) == (Health.UNKNOWN, "")
    good(state, at("23:01"))
    assert seen(state, at("23:01")).proven


def test_a_window_of_one_provider_leaves_the_other_alone() -> None:
    assert seen(state_of(ONCE), at("22:30"), "b").maintenance == ""


def test_a_drain_is_announced_ahead_and_its_evidence_still_counts_until_it_begins() -> None:
    state = state_of(ONCE, 'action = "drain"\nlead = "10m"\n')
    good(state, at("21:55"))
    found = seen(state, at("21:55"))
    assert (found.drained, found.proven) == (True, True)
    assert found.maintenance == "maintenance from 22:00 UTC (new disks)"


def test_a_window_that_only_mutes_does_not_hide_one_that_drains() -> None:
    """In whatever order they stand in the file."""
    drain = ONCE.replace("upgrade", "disks") + 'action = "drain"\nlead = "10m"\n'
    for windows in ((ONCE, drain), (drain, ONCE)):
        assert seen(state_of(*windows), at("21:55")).drained
        assert seen(state_of(*windows), at("22:30")).drained


def test_a_window_of_a_route_covers_all_of_its_candidates() -> None:
    window = """
[[maintenance]]
name = "night"
route = "chat"
days = ["tue"]
begin = 22:00:00
until = 02:00:00
"""
    state = state_of(window)
    assert seen(state, at("23:30"), "a").health is Health.UNKNOWN
    assert seen(state, at("23:30"), "b").maintenance == "maintenance until 02:00 UTC"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (None, ""),
        (Limits(Room(1200), Room(100_000)), ""),
        (Limits(Room(500)), "a allows 500 requests a minute and chat peaks at 1,200"),
        (Limits(Room(), Room(90)), "a allows 90 tokens a minute and chat peaks at 100,000"),
    ],
)  # fmt: skip
def test_a_provider_s_own_limits_are_held_against_the_route_s_peak(
    limits: Limits | None, said: str
) -> None:
    state = state_of()
    good(state, at("12:00"), limits)
    assert seen(state, at("12:00")).short == said


def test_limits_once_seen_outlive_an_answer_without_them() -> None:
    state = state_of()
    good(state, at("12:00"), Limits(Room(500)))
    bad = Sample("x", "a", "here", "m", at("12:01"), at("12:01"), Outcome.OVERLOADED)
    state.trackers["a"].ended(replace(bad, phases=Phases(first_byte_s=0.1)))
    assert seen(state, at("12:01")).short


def test_an_account_of_the_canary_s_own_says_nothing_of_the_application_s_room() -> None:
    config = loader.parse(BASE.replace('model = "m"', 'model = "m"\naccount = "own"'))
    state = RouteState(config, config.route[0], cast(Lease, None), Memory())
    good(state, at("12:00"), Limits(Room(500)))
    assert seen(state, at("12:00")).short == ""


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ('provider = "x"', "provider names no [[provider]] 'x'"),
        ('provider = "a"\nroute = "chat"', "name a provider or a route, one of them"),
        ('route = "chat"\naction = "drain"', "drain"),
        ('provider = "a"\ntimezone = "Mars"', "no such time zone"),
        ('provider = "a"\ndays = ["sun"]', "write start and end (once), or days, begin and until"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_with_one_line(window: str, said: str) -> None:
    times = "start = 2026-12-01T22:00:00\nend = 2026-12-01T23:00:00\n"
    with pytest.raises(ConfigError) as caught:
        state_of(f'[[maintenance]]\nname = "w"\n{times}{window}\n')
    assert said in str(caught.value)


def test_an_end_before_its_start_is_refused() -> None:
    with pytest.raises(ConfigError, match="end must come after start"):
        state_of(ONCE.replace("T23:00", "T21:00"))


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ("start = 0001-01-01T00:00:00\nend = 2026-12-01T00:00:00", "years from 1970 to 2999"),
        ("start = 2026-12-01T00:00:00\nend = 9999-12-31T23:59:59", "years from 1970 to 2999"),
        (
            'days = ["sun"]\nbegin = "02:00:00+01:00"\nuntil = "04:00:00"',
            "begin and until: write 02:00:00 without an offset",
        ),
    ],
)
def test_times_that_no_clock_could_be_asked_for_are_refused(times: str, said: str) -> None:
    """Each of them is found out at every tick, so it would stop the daemon."""
    with pytest.raises(ConfigError) as caught:
        state_of(f'[[maintenance]]\nname = "w"\nprovider = "a"\n{times}\n')
    assert said in str(caught.value)
