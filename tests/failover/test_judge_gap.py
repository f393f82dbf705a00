"""A machine that sleeps, or a daemon that is frozen, must not mistake that for an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from prober.alerts.outbox import Outbox
from prober.clock import Clock
from prober.config import loader
from prober.failover.executor import Executor
from prober.failover.judge import Judge
from prober.failover.memory import Memory
from prober.failover.notifier import Notifier
from prober.failover.route_state import RouteState
from prober.history.incidents import Incidents
from prober.history.journal import Journal
from prober.sample import Outcome, Phases, Sample
from switch.control.lease import Lease
from switch.control.writer import FlagWriter
from switch.flag import Keys

CONFIG = """
[[provider]]
name = "a"
api = "anthropic"
model = "m"
base_url = "http://127.0.0.1:9"

[[route]]
name = "chat"
candidates = ["a"]
"""


class Hands(Clock):
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def mono(self) -> float:
        return self.at_s

    def now(self) -> float:
        return 1_700_000_000.0 + self.at_s


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def judge(
    clock: Hands, tmp_path: Path, redis_client: redis.asyncio.Redis
) -> AsyncIterator[Judge]:
    config = await asyncio.to_thread(loader.parse, CONFIG)
    journal = Journal(tmp_path / "journal")

    async def taken(_: object) -> str:
        return ""

    outbox = Outbox([], taken, journal, None, clock, "v")
    incidents = Incidents(journal, None)
    notifier = Notifier(config, outbox, incidents, clock)
    state = RouteState(config, config.route[0], Lease(redis_client, Keys("chat"), 15), Memory())
    executor = Executor(FlagWriter(redis_client), journal, None)
    yield Judge(config, [state], executor, incidents, notifier, clock)
    await asyncio.to_thread(journal.close)


def hung(id: str, started_s: float, took_s: float) -> Sample:
    return Sample(
        id=id,
        provider="a",
        vantage="v",
        model="m",
        started_at=0.0,
        started_s=started_s,
        outcome=Outcome.TIMEOUT_FIRST_TEXT,
        phases=Phases(first_byte_s=0.1, total_s=took_s),
    )


async def test_canaries_under_way_while_the_machine_slept_are_no_evidence(
    judge: Judge, clock: Hands
) -> None:
    judge.pulse()
    for number in range(4):
        judge.started("a", str(number))
    clock.at_s += 3600.0
    # On waking they are judged before any tick or pulse has run.
    for number in range(4):
        judge.ended(hung(str(number), 1000.0, 3600.0))
    tracker = judge.states["chat"].trackers["a"]
    assert not tracker.breach.latched
    assert tracker.level == 0
    assert judge.standing().holding.startswith("time jumped; looking afresh for 45 s")
    clock.at_s += 46.0
    assert judge.standing().holding == ""


async def test_the_same_four_without_a_gap_are_an_outage(judge: Judge, clock: Hands) -> None:
    judge.pulse()
    for number in range(4):
        judge.started("a", str(number))
    for _ in range(60):
        clock.at_s += 1.0
        judge.pulse()
    for number in range(4):
        judge.ended(hung(str(number), 1000.0, 60.0))
    assert judge.states["chat"].trackers["a"].breach.latched == {"availability"}


async def test_a_slow_tick_is_no_time_gap(judge: Judge, clock: Hands) -> None:
    judge.pulse()
    judge.ended(hung("x", 1000.0, 0.1))
    level = judge.states["chat"].trackers["a"].level
    for _ in range(40):
        clock.at_s += 0.25
        judge.pulse()
    await judge.tick()
    assert judge.states["chat"].trackers["a"].level == level > 0
