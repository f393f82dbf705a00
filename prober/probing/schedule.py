"""When to probe: one APScheduler job per provider, faster on suspicion, never past the budget.

A job only starts a canary and returns; the canaries under way are ours to count and to await.
Due times follow the wall clock, so silence is watched by the monotonic one.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from prober.probing.pacing import Need, Pace, Purpose, RateShare, Rhythm
from prober.probing.plans import Plan
from prober.sample import Sample

if TYPE_CHECKING:
    from prober.clock import Clock
    from prober.probing.budget import Budget, Reservation

log = logging.getLogger(__name__)

FIRST_STAGGER_S = 0.05

Probe = Callable[[Plan, str, bool], Awaitable[Sample]]
"""(plan, id, base_rate) -> the sample. Never raises for what a provider does."""

OnBudget = Callable[[str, bool], Awaitable[None]]
"""(provider, exhausted): the budget is nearly, or wholly, spent."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A provider to be probed, and how often."""

    plan: Plan
    interval_s: float
    suspect_interval_s: float


@dataclass
class _Watch:
    """What the schedule keeps of one target."""

    target: ProbeTarget
    rhythm: Rhythm
    told: str = ""


class CanaryJudge(Protocol):
    """What the schedule asks and tells of whoever judges; `failover.judge.Judge` is the real one.

    Attributes:
        shut: provider -> why it cannot be probed.
        spent: providers whose canary budget is exhausted.
        ticked_s: when it last decided; None: never yet.
    """

    shut: dict[str, str]
    spent: frozenset[str]
    ticked_s: float | None

    def needs(self, provider: str, now_s: float) -> list[Need]: ...

    def share(self, provider: str) -> RateShare: ...

    def serves(self, provider: str) -> bool: ...

    def paced(self, provider: str, interval_s: float) -> None: ...

    def started(self, provider: str, id: str) -> None: ...

    def dropped(self, provider: str, id: str) -> None: ...

    def ended(self, sample: Sample) -> None: ...


class Schedule:
    """Starts canaries and hands their samples to the judge and to history."""

    def __init__(
        self,
        targets: Mapping[str, ProbeTarget],
        judge: CanaryJudge,
        probe: Probe,
        keep: Callable[[Sample], None],
        budget: Budget,
        clock: Clock,
        on_budget: OnBudget,
    ) -> None:
        self._judge = judge
        self._probe = probe
        self._keep = keep
        self._budget = budget
        self._clock = clock
        self._on_budget = on_budget
        self._watches: dict[str, _Watch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._targets = dict(targets)

    def start(self) -> None:
        self._scheduler.start()
        self.configure(self._targets)

    def configure(self, targets: Mapping[str, ProbeTarget]) -> None:
        """Takes the (new) targets; those that did not change go on undisturbed."""
        for name in self._watches.keys() - targets.keys():
            self._scheduler.remove_job(name)
            del self._watches[name]
        now, now_s = datetime.now(UTC), self._clock.mono()
        for number, (name, target) in enumerate(targets.items()):
            known = self._watches.get(name)
            if known is not None and known.target == target:
                continue
            rhythm = Rhythm(target.interval_s, target.suspect_interval_s, now_s)
            self._watches[name] = _Watch(target, rhythm)
            # A fixed offset each keeps the targets apart; the first look is at once.
            offset_s = target.interval_s * number / len(targets)
            start = now + timedelta(seconds=offset_s or target.interval_s)
            self._scheduler.add_job(
                self._launch,
                IntervalTrigger(seconds=target.interval_s, start_date=start),
                args=[name],
                id=name,
                replace_existing=True,
                next_run_time=now + timedelta(seconds=number * FIRST_STAGGER_S),
            )
        self._targets = dict(targets)

    def describe(self, name: str) -> str:
        """ "every 3 s (suspicion)"; empty for a provider that is not probed."""
        watch = self._watches.get(name)
        if watch is None:
            return ""
        pace = watch.rhythm.pace
        return f"every {pace.interval_s:g} s ({pace.purpose})"

    def spent_today(self, name: str) -> float:
        """USD that canaries of a provider cost today."""
        return self._budget.spent(name, self._clock.now())

    async def adjust(self) -> None:
        """Brings every provider to the pace that the routes need now. Cheap; call it often."""
        now_s, now = self._clock.mono(), self._clock.now()
        spent: set[str] = set()
        for name, watch in list(self._watches.items()):
            await self._mind_budget(name, watch, now, spent)
            if self._watches.get(name) is not watch:
                continue  # a reload, while somebody was told
            usd, interval_s = watch.target.plan.worst_cost_usd, watch.target.interval_s
            afford = partial(self._budget.afforded, name, usd, now, interval_s=interval_s)
            share = self._judge.share(name)
            moved, watch.rhythm.share = share != watch.rhythm.share, share
            start_s = watch.rhythm.adjust(self._judge.needs(name, now_s), now_s, afford)
            if start_s is not None or moved:
                turn_s = watch.rhythm.turn_s(now_s, now)
                start_s = start_s if turn_s is None else turn_s
            if start_s is not None:
                self._reschedule(name, watch.rhythm.pace.interval_s, start_s - now_s)
            self._judge.paced(name, watch.rhythm.pace.interval_s)
        self._judge.spent = frozenset(spent)

    async def _mind_budget(self, name: str, watch: _Watch, now: float, spent: set[str]) -> None:
        """Says once that the budget slows canaries down, or that it is spent."""
        usd, interval_s = watch.target.plan.worst_cost_usd, watch.target.interval_s
        state = ""
        if self._budget.exhausted(name, usd, now):
            spent.add(name)
            state = "serving and out" if self._judge.serves(name) else "out"
        else:
            base = self._budget.afforded(name, usd, now, Pace(interval_s, Purpose.BASE), interval_s)
            state = "low" if base.interval_s > interval_s else ""
        # Who serves is not known before the flag was read.
        if watch.told != state and self._judge.ticked_s is not None:
            watch.told = state
            if state:
                await self._on_budget(name, state != "low")

    def _reschedule(self, name: str, interval_s: float, wait_s: float) -> None:
        start = datetime.now(UTC) + timedelta(seconds=wait_s)
        trigger = IntervalTrigger(seconds=interval_s, start_date=start)
        # Said outright: a start that is already past would cost a whole interval.
        self._scheduler.modify_job(name, trigger=trigger, next_run_time=start)

    async def _launch(self, name: str) -> None:
        """Starts one canary, if the overlap and the budget allow it."""
        watch = self._watches.get(name)
        if watch is None or name in self._judge.shut:
            return
        if not watch.rhythm.may_launch():
            return
        purpose = watch.rhythm.pace.purpose
        now_s, now = self._clock.mono(), self._clock.now()
        worst = watch.target.plan.worst_cost_usd
        held = await self._reserve(name, worst, now, purpose)
        if held is None:
            log.debug("%s: no budget for a canary (%s)", name, purpose)
            return
        if self._closing or self._watches.get(name) is not watch:
            self._budget.settle(held, 0.0)  # a stop or a reload, while the disk was waited for
            return
        base_rate = watch.rhythm.launched(purpose, now_s)
        task = asyncio.create_task(self._run(name, watch, base_rate, held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reserve(
        self, name: str, usd: float, now: float, purpose: Purpose
    ) -> Reservation | None:
        if self._budget.begins_block(name, usd, now, purpose):
            # The disk may be slow, and nothing else shall wait for it.
            return await asyncio.to_thread(self._budget.reserve, name, usd, now, purpose)
        return self._budget.reserve(name, usd, now, purpose)

    async def _settle(self, held: Reservation, cost: float) -> None:
        if cost > held.usd:
            await asyncio.to_thread(self._budget.settle, held, cost)
        else:
            self._budget.settle(held, cost)

    async def _run(self, name: str, watch: _Watch, base_rate: bool, held: Reservation) -> None:
        id = uuid.uuid4().hex
        self._judge.started(name, id)
        try:
            sample = await self._probe(watch.target.plan, id, base_rate)
        except BaseException:
            self._judge.dropped(name, id)
            raise
        finally:
            watch.rhythm.landed()
        self._judge.ended(sample)
        self._keep(sample)
        await self._settle(held, sample.cost_usd)
        await self.adjust()

    async def close(self, seconds: float) -> None:
        """Starts no more, gives what is under way `seconds` to end, then drops the rest."""
        self._closing = True
        self._scheduler.pause()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._scheduler.shutdown(wait=False)
