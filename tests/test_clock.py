"""The two clocks, and what a step of the wall clock alone may do."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from prober.clock import Clock
from prober.sample import Outcome
from tests.support.judge_stage import Bench, bench


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    async with bench(tmp_path, redis_client) as made:
        yield made


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="no such clock here")
def test_durations_are_by_the_clock_that_runs_on_in_suspend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CLOCK_MONOTONIC stops while the machine sleeps, and hours would pass for a moment."""
    asked: list[int] = []
    monkeypatch.setattr(time, "clock_gettime", lambda which: asked.append(which) or 7.0)
    assert Clock().mono() == 7.0
    assert asked == [time.CLOCK_BOOTTIME]


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 86_400.0 * 365])
async def test_a_step_of_the_wall_clock_alone_drops_no_evidence_and_holds_nothing(
    on: Bench, step_s: float
) -> None:
    on.found("a", count=4)
    on.found("b", count=4)
    for _ in range(2):
        await on.judge.tick()
    on.judge.pulse()
    on.judge.started("a", "under way")
    on.clock.wall_s += step_s
    on.judge.pulse()
    await on.judge.tick()
    tracker = on.state.trackers["a"]
    assert on.judge.standing().holding == ""
    assert tracker.proven(on.clock.mono())
    assert on.state.decision.reason.startswith("a is ok")
    on.judge.dropped("a", "under way")
    on.found("a", Outcome.OVERLOADED)
    await on.judge.tick()
    assert (await on.flag()).provider == "b", "and an outage is left as ever"


async def test_a_gap_of_more_than_three_ticks_is_minded_and_three_are_not(on: Bench) -> None:
    on.judge.pulse()
    on.found("a", count=4)
    on.clock.at_s += 3.0
    on.judge.pulse()
    assert on.judge.standing().holding == ""
    assert on.state.trackers["a"].good_in_a_row == 4
    on.clock.at_s += 3.01
    on.judge.pulse()
    assert on.judge.standing().holding == "time jumped; looking afresh for 45 s more"
    assert on.state.trackers["a"].good_in_a_row == 0
    on.clock.at_s += 44.9
    assert on.judge.standing().holding
    on.clock.at_s += 0.2
    assert on.judge.standing().holding == ""
