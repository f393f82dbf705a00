"""The end of the canary budget: slower, then told, and never in the way of a proof."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prober.clock import Clock
from prober.config.costs import BASE_SHARE
from prober.config.schema import Price
from prober.daemon.operator_api import OperatorApi
from prober.emulator import Emulator
from prober.failover.judge import Judge
from prober.probing.budget import Budget
from prober.probing.pacing import Need, Purpose, RateShare
from prober.probing.plans import Plan
from prober.probing.schedule import ProbeTarget, Schedule
from prober.providers.events import Endpoint
from prober.sample import Outcome, Phases, Sample
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
MIDNIGHT = NOON + 43_200


class Noon(Clock):
    """The wall clock stands where the test puts it; the other one runs."""

    at = NOON

    def now(self) -> float:
        return self.at


class Wanting:
    """A judge that only says what it wants to know."""

    def __init__(self) -> None:
        self.need = Need()
        self.shut: dict[str, str] = {}
        self.spent: frozenset[str] = frozenset()
        self.interval_s = 0.0
        self.sent = 0
        self.ticked_s: float | None = 0.0
        self.primary = ""

    def serves(self, provider: str) -> bool:
        return provider == self.primary

    def needs(self, provider: str, now_s: float) -> list[Need]:
        return [self.need]

    def share(self, provider: str) -> RateShare:
        return RateShare()

    def paced(self, provider: str, interval_s: float) -> None:
        self.interval_s = interval_s

    def started(self, provider: str, id: str) -> None:
        self.sent += 1

    def dropped(self, provider: str, id: str) -> None: ...

    def ended(self, sample: Sample) -> None: ...


class Bench:
    """A schedule at the ratios of real life, over a budget that the test spends."""

    def __init__(self, interval_s: float, suspect_s: float) -> None:
        self.clock, self.judge = Noon(), Wanting()
        self.budget = Budget({"a": 1.0})
        self.told: list[bool] = []
        self.cost = 1.0
        plan = Plan(
            "a", "openai", Endpoint("http://127.0.0.1:9", "m"), price=Price(input=1.0, output=1.0)
        )
        self.worst = plan.worst_cost_usd
        judge: Judge = self.judge  # type: ignore[assignment]
        self.schedule = Schedule(
            {"a": ProbeTarget(plan, interval_s, suspect_s)},
            judge,
            self._probe,
            lambda sample: None,
            self.budget,
            self.clock,
            self._tell,
        )

    async def _tell(self, provider: str, out: bool) -> None:
        self.told.append(out)

    async def _probe(self, plan: Plan, id: str, base_rate: bool) -> Sample:
        return Sample(
            id=id,
            provider="a",
            vantage="v",
            model="m",
            started_at=self.clock.now(),
            started_s=self.clock.mono(),
            outcome=Outcome.OK,
            phases=Phases(total_s=0.001),
            cost_usd=self.worst * self.cost,
        )

    def spend(self, usd: float, purpose: Purpose) -> None:
        assert self.budget.reserve("a", usd, self.clock.at, purpose)


@pytest.fixture
async def bench() -> AsyncIterator[Callable[[float, float], Bench]]:
    made: list[Bench] = []

    def build(interval_s: float, suspect_s: float) -> Bench:
        made.append(Bench(interval_s, suspect_s))
        return made[-1]

    yield build
    for one in made:
        await one.schedule.close(1)


Make = Callable[[float, float], Bench]


async def test_near_the_end_canaries_slow_and_people_are_told_once(bench: Make) -> None:
    one = bench(30.0, 3.0)
    one.schedule.start()
    await until(lambda: one.judge.sent == 1)
    await one.schedule.adjust()
    assert (one.schedule.describe("a"), one.told) == ("every 30 s (base)", [])
    one.spend(0.7 - 100 * one.worst, Purpose.BASE)
    for _ in range(5):
        await one.schedule.adjust()
    assert one.told == [False]
    assert one.judge.interval_s == pytest.approx(43_200 / 99, abs=60), "to last until midnight"
    one.clock.at = MIDNIGHT + 1
    await one.schedule.adjust()
    assert one.judge.interval_s == 30.0, "a new day, a new budget"


async def test_when_base_canaries_have_no_money_suspicion_and_proof_still_pay(bench: Make) -> None:
    one = bench(0.5, 0.02)
    one.spend(0.7, Purpose.BASE)
    one.schedule.start()
    await one.schedule.adjust()
    await asyncio.sleep(0.3)
    assert one.judge.sent == 0
    one.judge.need = Need(suspect_for_s=1.0)
    await one.schedule.adjust()
    await until(lambda: one.judge.sent >= 10)
    one.judge.need = Need(proving=True)
    left = 0.25 - one.budget.spent("a", one.clock.at) + 0.7
    one.spend(left, Purpose.SUSPICION)
    sent = one.judge.sent
    await one.schedule.adjust()
    await until(lambda: one.judge.sent >= sent + 10, "the last of the day is for proofs")
    assert one.judge.spent == frozenset()


async def test_what_is_exhausted_is_told_and_probed_no_more_until_midnight(bench: Make) -> None:
    one = bench(0.05, 0.02)
    one.spend(1.0, Purpose.PROOF)
    one.schedule.start()
    one.judge.need = Need(proving=True)
    for _ in range(5):
        await one.schedule.adjust()
        await asyncio.sleep(0.05)
    assert (one.judge.sent, one.judge.spent, one.told) == (0, {"a"}, [True])
    one.clock.at = MIDNIGHT + 1
    await one.schedule.adjust()
    await until(lambda: one.judge.sent >= 3)
    assert one.judge.spent == frozenset()


async def test_nothing_is_told_before_it_is_known_who_serves(bench: Make) -> None:
    one = bench(30.0, 3.0)
    one.spend(1.0, Purpose.PROOF)
    one.judge.ticked_s = None
    one.schedule.start()
    await one.schedule.adjust()
    assert (one.judge.spent, one.told) == ({"a"}, [])
    one.judge.ticked_s = 1.0
    await one.schedule.adjust()
    assert one.told == [True]
    one.judge.primary = "a"
    for _ in range(3):
        await one.schedule.adjust()
    assert one.told == [True, True], "again, once it serves"


async def test_a_canary_dearer_than_reserved_counts_in_full(bench: Make) -> None:
    one = bench(30.0, 3.0)
    one.cost = 50.0
    one.schedule.start()
    await until(lambda: one.budget.spent("a", NOON) > one.worst)
    assert one.budget.spent("a", NOON) == pytest.approx(50 * one.worst)


# -- a whole daemon ----------------------------------------------------------------------------

PRICE = "price = { input = 1.0, output = 1.0 }\ncanary = { daily_budget_usd = 1000.0 }\n"


def priced(tmp_path: Path, emulator: Emulator, valkey: Valkey, left: dict[str, float]) -> Path:
    """Both providers cost money, and this much of today's 1000 USD is left to each."""
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    text = path.read_text().replace("\nfailure_domains", f"\n{PRICE}failure_domains")
    path.write_text(text)
    today = datetime.now(UTC).date().isoformat()
    rows = {
        name: {"day": today, "base": BASE_SHARE * 1000, "urgent": 300.0 - usd}
        for name, usd in left.items()
    }
    (tmp_path / "budget.json").write_text(json.dumps(rows))
    return path


def primary(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


async def health(operators: OperatorApi) -> dict[str, tuple[str, str]]:
    status = await operators.status({})
    return {p["name"]: (p["health"], p["why"]) for p in status["routes"][0]["providers"]}


async def test_an_exhausted_primary_is_unknown_and_pages_and_a_candidate_ineligible(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        await until(lambda: primary(valkey) == "a")
    path = priced(tmp_path, emulator, valkey, {"a": 0.0, "b": 0.0})
    async with running(path) as daemon:
        await until(lambda: len([t for t in oncall.titles if "budget of" in t]) == 2)
        spent = "its canary budget is spent for today"
        said = await health(OperatorApi(daemon))
        assert said == {"a": ("unknown", spent), "b": ("ineligible", spent)}
        await asyncio.sleep(0.5)
        assert primary(valkey) == "a", "unknown is not down"
        titles = [t for t in oncall.titles if "budget of" in t]
        assert sorted(titles) == [
            "🔴 The canary budget of a is spent",
            "🟠 The canary budget of b is spent",
        ]


async def test_with_no_money_for_base_canaries_an_outage_still_ends_in_a_proven_flip(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        await until(lambda: primary(valkey) == "a")
    path = priced(tmp_path, emulator, valkey, {"a": 0.0, "b": 50.0})
    # The primary has its base rate, the candidate no more than what proofs may use.
    rows = json.loads((tmp_path / "budget.json").read_text())
    rows["a"] = {**rows["a"], "base": 0.0, "urgent": 0.0}
    (tmp_path / "budget.json").write_text(json.dumps(rows))
    emulator.set_faults(api="anthropic", error_share=1.0, status=529)
    async with running(path) as daemon:
        await until(lambda: primary(valkey) == "b", "proven with money kept for proofs")
        assert daemon.schedule.spent_today("b") < 1000.0


async def test_an_orderly_stop_leaves_no_block_behind(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = priced(tmp_path, emulator, valkey, {})
    async with running(path) as daemon:
        await until(lambda: daemon.schedule.spent_today("a") > 0)
    rows = json.loads((tmp_path / "budget.json").read_text())
    spent = rows["a"]["base"] + rows["a"]["urgent"]
    assert 0 < spent < 0.1, "a block is 5 USD; canaries cost a hundredth of a cent"
