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

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from prober.budget import Budget
from prober.clock import Clock
from prober.judge import Judge
from prober.pace import Purpose, Rhythm
from prober.probe import Plan
from prober.sample import Sample

log = logging.getLogger(__name__)

FIRST_STAGGER_S = 0.05

Probe = Callable[[Plan, str, bool], Awaitable[Sample]]
"""(plan, id, base_rate) -> the sample. Never raises for what a provider does."""

OnBudget = Callable[[str, bool], Awaitable[None]]
"""(provider, exhausted): the budget is nearly, or wholly, spent."""


@dataclass(frozen=True, slots=True)
class Target:
    """A provider to be probed, and how often."""

    plan: Plan
    interval_s: float
    suspect_interval_s: float


@dataclass
class _Watch:
    """What the schedule keeps of one target."""

    target: Target
    rhythm: Rhythm
    told: str = ""


class Schedule:
    """Starts canaries and hands their samples to the judge and to history."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        judge: Judge,
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
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._targets = dict(targets)

    def start(self) -> None:
        self._scheduler.start()
        self.configure(self._targets)

    def configure(self, targets: Mapping[str, Target]) -> None:
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
            usd = watch.target.plan.worst_cost_usd
            low = usd > 0 and self._budget.low(name, now)
            if self._budget.exhausted(name, usd, now):
                spent.add(name)
                await self._tell(watch, "out")
            elif low:
                await self._tell(watch, "low")
            else:
                watch.told = ""
            start_s = watch.rhythm.adjust(self._judge.needs(name, now_s), now_s, low=low)
            if start_s is not None:
                self._reschedule(name, watch.rhythm.pace.interval_s, start_s - now_s)
        self._judge.spent = frozenset(spent)

    def _reschedule(self, name: str, interval_s: float, wait_s: float) -> None:
        start = datetime.now(UTC) + timedelta(seconds=wait_s)
        trigger = IntervalTrigger(seconds=interval_s, start_date=start)
        # Said outright: a start that is already past would cost a whole interval.
        self._scheduler.modify_job(name, trigger=trigger, next_run_time=start)

    async def _tell(self, watch: _Watch, state: str) -> None:
        if watch.told != state:
            watch.told = state
            await self._on_budget(watch.target.plan.provider, state == "out")

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
        if not await self._reserve(name, worst, now, purpose):
            log.debug("%s: no budget for a canary (%s)", name, purpose)
            return
        base_rate = watch.rhythm.launched(purpose, now_s)
        task = asyncio.create_task(self._run(name, watch, base_rate, worst))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reserve(self, name: str, usd: float, now: float, purpose: Purpose) -> bool:
        if self._budget.begins_block(name, usd, now):
            # The disk may be slow, and nothing else shall wait for it.
            return await asyncio.to_thread(self._budget.reserve, name, usd, now, purpose)
        return self._budget.reserve(name, usd, now, purpose)

    async def _run(self, name: str, watch: _Watch, base_rate: bool, worst: float) -> None:
        id = uuid.uuid4().hex
        self._judge.started(name, id)
        try:
            sample = await self._probe(watch.target.plan, id, base_rate)
        except BaseException:
            self._judge.dropped(name, id)
            raise
        finally:
            watch.rhythm.landed()
        self._budget.settle(name, worst, sample.cost_usd, self._clock.now())
        self._judge.ended(sample)
        self._keep(sample)
        await self.adjust()

    async def close(self, seconds: float) -> None:
        """Starts no more, gives what is under way `seconds` to end, then drops the rest."""
        self._scheduler.pause()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._scheduler.shutdown(wait=False)
