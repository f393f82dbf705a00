"""The schedule at the ratios of real life: the pace changes long after the last canary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from prober.clock import Clock
from prober.failover.judge import Judge
from prober.probing.budget import Budget
from prober.probing.pacing import Need, Purpose, RateShare
from prober.probing.plans import Plan
from prober.probing.schedule import ProbeTarget, Schedule
from prober.providers.events import Endpoint
from prober.sample import Outcome, Phases, Sample
from tests.support.stage import until


class Wanting:
    """A judge that only says what it wants to know."""

    def __init__(self) -> None:
        self.need = Need()
        self.shut: dict[str, str] = {}
        self.spent: frozenset[str] = frozenset()
        self.samples: list[Sample] = []
        self.ticked_s: float | None = 0.0

    def serves(self, provider: str) -> bool:
        return False

    def needs(self, provider: str, now_s: float) -> list[Need]:
        return [self.need]

    def started(self, provider: str, id: str) -> None: ...

    def dropped(self, provider: str, id: str) -> None: ...

    def paced(self, provider: str, interval_s: float) -> None: ...

    def share(self, provider: str) -> RateShare:
        return RateShare()

    def ended(self, sample: Sample) -> None:
        self.samples.append(sample)


Make = Callable[..., Schedule]


@pytest.fixture
def wanting() -> Wanting:
    return Wanting()


@pytest.fixture
async def make(wanting: Wanting, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Schedule] = []
    clock = Clock()

    async def probe(plan: Plan, id: str, base_rate: bool) -> Sample:
        return Sample(
            id=id,
            provider=plan.provider,
            vantage="v",
            model="m",
            started_at=clock.now(),
            started_s=clock.mono(),
            outcome=Outcome.OK,
            phases=Phases(total_s=0.001),
            base_rate=base_rate,
        )

    async def told(provider: str, out: bool) -> None: ...

    def build(interval_s: float, suspect_s: float) -> Schedule:
        plan = Plan("a", "openai", Endpoint("http://127.0.0.1:9", "m"))
        judge: Judge = wanting  # type: ignore[assignment]
        budget = Budget({"a": 1.0})
        schedule = Schedule(
            {"a": ProbeTarget(plan, interval_s, suspect_s)},
            judge,
            probe,
            print,
            budget,
            clock,
            told,
        )
        schedule.start()
        made.append(schedule)
        return schedule

    yield build
    for schedule in made:
        await schedule.close(1)


async def test_a_proof_begins_at_once_however_old_the_last_canary_is(
    make: Make, wanting: Wanting
) -> None:
    schedule = make(600.0, 0.4)
    await until(lambda: len(wanting.samples) == 1, "the first look is at once")
    # Older than twice the fast interval and a second: long ago, as 12 s are beside 3 s.
    await asyncio.sleep(2.0)
    wanting.need = Need(proving=True)

    async def adjusting() -> None:
        while True:
            await schedule.adjust()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(adjusting())
    await until(lambda: len(wanting.samples) >= 5, "four more, whatever adjusts meanwhile", 8)
    task.cancel()


async def test_one_canary_an_interval_stays_a_base_canary_under_suspicion(
    make: Make, wanting: Wanting
) -> None:
    schedule = make(0.5, 0.05)
    wanting.need = Need(suspect_for_s=1.0)
    await schedule.adjust()
    await until(lambda: len(wanting.samples) >= 25)
    base = [sample for sample in wanting.samples if sample.base_rate]
    assert 2 <= len(base) <= len(wanting.samples) / 3


async def test_of_two_routes_the_proof_wins_over_an_equal_suspicion(
    make: Make, wanting: Wanting
) -> None:
    schedule = make(600.0, 1.0)
    wanting.needs = lambda provider, now_s: [  # type: ignore[method-assign]
        Need(suspect_for_s=1.0),
        Need(proving=True),
    ]
    await schedule.adjust()
    assert schedule.describe("a") == f"every 1 s ({Purpose.PROOF})"
