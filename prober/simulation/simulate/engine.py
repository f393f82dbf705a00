"""The event loop in virtual time: schedule, trackers and decide() as the daemon has them.

What is virtual is time, the providers and the flag. What cannot change a decision is left out:
while all is well canaries are only drawn, and told to their trackers together once something is
not well; and a decision that could only be to hold is not asked for. `every_second` leaves out
nothing, and gives the same flips.

A canary that ends is judged, decisions follow, then the schedule adjusts; so it does on every
tick, one second apart since the last canary's end, as in the daemon.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING

from prober.failover.decision_view import view_of
from prober.failover.memory import Memory
from prober.failover.route_state import RouteState, Standing, vouched_by
from prober.probing.budget import Budget
from prober.probing.pacing import Pace, Purpose
from prober.sample import Fault, Outcome, Sample
from prober.simulation.other_tools import objectives_of
from prober.simulation.simulate.flow import Flow
from prober.simulation.simulate.provider_model import ModelledAnswer, ProviderModel
from prober.simulation.simulate.report import SimulationResult, result
from prober.simulation.simulate.trace import Move, Trace
from prober.simulation.simulate.virtual_flag import NoLease, move, show
from prober.simulation.simulate.virtual_provider import EPOCH_S, VirtualProvider
from switch.control.decide import Action, decide
from switch.flag import Mode

if TYPE_CHECKING:
    from prober.config.schema import Config, Provider
    from prober.detection.tracker import Tracker
    from prober.simulation.simulate.scenario import Scenario

TICK_S = 1.0
FIRST_STAGGER_S = 0.05
SAY_EVERY = 20_000
_END, _TICK, _START, _FLOW = 0, 1, 2, 3
_FIRST = -1
# Times that are sums of others are equal only nearly.
NEARLY_S = 1e-6

Progress = Callable[[float], None]
"""(seconds of virtual time that have passed)."""


_Event = tuple[float, int, int, int, Sample | None]
"""(when, what, which provider, timer or number, the sample that ends)."""


class Engine:
    """One run. Use once."""

    def __init__(self, scenario: Scenario, config: Config, *, every_second: bool = False) -> None:
        self._duration_s = scenario.duration_s
        self._every_second = every_second
        self.course = Trace()
        self.states = [
            RouteState(config, route, NoLease(), Memory(), objectives_of) for route in config.route
        ]
        for state in self.states:
            state.leased = True
            show(state, 0.0, None, ())
        enabled = [p for p in config.provider if p.enabled and p.name in scenario.providers]
        self._watched: list[VirtualProvider] = []
        self._flows: list[tuple[int, Flow]] = []
        for provider in enabled:
            trackers = [t for s in self.states if (t := s.trackers.get(provider.name))]
            self._watched.append(VirtualProvider(provider, _world(scenario, provider), trackers))
            self._flow(scenario, provider)
        for watched in self._watched:
            names = vouched_by(config, watched.name)
            watched.vouches = [t for w in self._watched if w.name in names for t in w.trackers]
        limits = {p.name: p.canary.daily_budget_usd for p in config.provider}
        self._budget = Budget(limits)
        self._spent: frozenset[str] = frozenset()
        self._heap: list[_Event] = []
        self._number = 0
        self._flying = 0
        self._restless = True
        self._calm = False
        # A window turns by the clock, and in a calm nobody looks at that.
        self._windowless = not any(ws for s in self.states for ws in s.windows.values())
        # Ticks are counted from the end of the last canary.
        self._ticks_from_s = 0.0
        self._ticks = 0
        self._tick_is = 0

    def _flow(self, scenario: Scenario, provider: Provider) -> None:
        """The requests that each route sends to a provider while it is the primary."""
        generated = scenario.providers[provider.name]
        for state in self.states:
            tracker = state.trackers.get(provider.name)
            if tracker is None:
                continue
            if not generated.traffic_rps:
                tracker.traffic = None  # nobody reports: nothing to ask at each look
            elif tracker.traffic is not None:
                seed = f"{scenario.seed} {provider.name} {state.name}"
                world = _world(scenario, provider)
                flow = Flow(seed, generated, world, tracker, tracker.traffic)
                self._flows.append((len(self._watched) - 1, flow))

    # -- the loop ------------------------------------------------------------------------------

    def run(self, progress: Progress | None = None) -> Trace:
        for index, watched in enumerate(self._watched):
            # As the schedule does it: a first look at once, then each at its own offset.
            heappush(self._heap, (index * FIRST_STAGGER_S, _START, index, _FIRST, None))
            interval_s = watched.rhythm.interval_s
            offset_s = interval_s * index / len(self._watched)
            heappush(self._heap, (offset_s or interval_s, _START, index, 0, None))
        self._set_tick(0.0)
        heap = self._heap
        steps = 0
        while heap and heap[0][0] < self._duration_s:
            if progress is not None and steps % SAY_EVERY == 0:
                progress(heap[0][0])
            steps += 1
            if self._calm:
                self._cruise()
                continue
            at_s, what, index, number, sample = heap[0]
            if what == _START:
                self._start(at_s, index, number)
                continue
            heappop(heap)
            if what == _FLOW:
                self._report(at_s, index)
            elif sample is not None:
                self._end(at_s, index, sample)
            elif number == self._tick_is:
                self._ticks += 1
                self._judge(at_s)
        for watched in self._watched:
            self.course.sent(watched.name, watched.probes, watched.cost_usd)
        self.course.end()
        return self.course

    def _cruise(self) -> None:
        """All is well: canaries are drawn and kept, until one is not good or it is time to say."""
        heap, end_s = self._heap, self._duration_s
        for _ in range(SAY_EVERY):
            at_s, what, index, timer, _sample = heap[0]
            if at_s >= end_s:
                return
            if what == _FLOW:
                heappop(heap)
                self._report(at_s, index)
                if not self._calm:
                    return
                continue
            watched = self._watched[index]
            if what != _START or timer != watched.timer:
                heappop(heap)  # void: a calm has no ticks, and what ends is kept
                continue
            heapreplace(heap, (at_s + watched.rhythm.pace.interval_s, _START, index, timer, None))
            passed = watched.passed
            if passed and passed[-1][1] > at_s:
                continue  # still under way
            if watched.cost_usd > 0 and not self._pay(watched, at_s, Purpose.BASE):
                self._rouse(at_s)
                return
            answer = watched.world.ask(at_s)
            watched.probes += 1
            if watched.relative:
                watched.teach()
            if not (
                self._calm
                and answer[0] is Outcome.OK
                and answer[2] is not None
                and answer[2] <= watched.text_limit_s
                and answer[3] <= watched.total_limit_s
                and not (watched.relative and watched.slow(answer))
            ):
                self._rouse(at_s)
                self._launch(at_s, index, Purpose.BASE, answer)
                return
            passed.append((at_s, at_s + answer[3], answer))

    def _rouse(self, at_s: float) -> None:
        """The calm is over: the trackers are told what passed meanwhile."""
        self._calm = False
        for index, watched in enumerate(self._watched):
            passed = watched.passed
            if not passed:
                continue
            flying = passed.pop() if passed[-1][1] >= at_s else None
            watched.teach()
            watched.passed, watched.taught = [], 0
            if passed:
                answers = [(started_s, ended_s, answer[2]) for started_s, ended_s, answer in passed]
                started_s, ended_s, answer = passed[-1]
                last = watched.draw(started_s, 0, True, answer)
                for tracker in watched.trackers:
                    tracker.went_well(answers, last)
                watched.rhythm.launched(Purpose.BASE, started_s)
                watched.rhythm.landed()
                self._ticks_from_s = max(self._ticks_from_s, ended_s)
            if flying is not None:
                self._launch(flying[0], index, Purpose.BASE, flying[2])

    def _start(self, at_s: float, index: int, timer: int) -> None:
        """The timer of a provider fires."""
        watched = self._watched[index]
        if timer == _FIRST or timer != watched.timer:
            heappop(self._heap)
            if timer != _FIRST:
                return
        else:
            interval_s = watched.rhythm.pace.interval_s
            heapreplace(self._heap, (at_s + interval_s, _START, index, timer, None))
        purpose = watched.rhythm.pace.purpose
        if watched.rhythm.may_launch() and self._pay(watched, at_s, purpose):
            watched.probes += 1
            self._launch(at_s, index, purpose, watched.world.ask(at_s))

    def _launch(self, at_s: float, index: int, purpose: Purpose, answer: ModelledAnswer) -> None:
        watched = self._watched[index]
        base_rate = watched.rhythm.launched(purpose, at_s)
        self._number += 1
        self._flying += 1
        sample = watched.draw(at_s, self._number, base_rate, answer)
        for tracker in watched.trackers:
            tracker.started(sample.id)
        heappush(self._heap, (sample.ended_s, _END, index, self._number, sample))
        if watched.rhythm.bucket.ready_s > at_s:
            self._tick_soon(at_s)  # that was the last fast one for a while

    def _pay(self, watched: VirtualProvider, at_s: float, purpose: Purpose) -> bool:
        if watched.cost_usd <= 0:
            return True
        now = EPOCH_S + at_s
        paid = self._budget.reserve(watched.name, watched.cost_usd, now, purpose) is not None
        if not paid or self._is_low(watched, now):
            # From now on the hour matters: the day's end brings a new budget.
            self._calm = False
            self._tick_soon(at_s)
        return paid

    def _is_low(self, watched: VirtualProvider, now: float) -> bool:
        base = Pace(watched.rhythm.interval_s, Purpose.BASE)
        return self._afford(watched, now)(base).interval_s > watched.rhythm.interval_s

    def _afford(self, watched: VirtualProvider, now: float) -> Callable[[Pace], Pace]:
        return lambda wanted: self._budget.afforded(
            watched.name, watched.cost_usd, now, wanted, watched.rhythm.interval_s
        )

    def _tick_soon(self, at_s: float) -> None:
        """Something was learned between two ticks, and no canary has ended."""
        self._restless = True
        self._ticks = int((at_s - self._ticks_from_s) // TICK_S)
        self._set_tick(at_s)

    def _end(self, at_s: float, index: int, sample: Sample) -> None:
        watched = self._watched[index]
        watched.rhythm.landed()
        self._flying -= 1
        for state in self.states:
            if (tracker := state.trackers.get(watched.name)) is None:
                continue
            if watched.name in state.maintained:
                tracker.dropped(sample.id)  # as in the daemon: inside a window nothing counts
            else:
                tracker.ended(sample)
        if sample.fault is not Fault.PATH:
            for tracker in watched.vouches:
                tracker.witnessed(sample.started_s)
        self._after(at_s, index)

    def _report(self, at_s: float, index: int) -> None:
        """Reports come in; the judge looks at them once they make it suspect something."""
        place, flow = self._flows[index]
        if at_s != flow.next_s:
            return  # nobody calls that provider any more
        was_suspect = flow.tracker.suspect
        flow.step(heard=not self._maintained(flow.tracker))
        self._await_reports(index)
        if was_suspect or flow.tracker.suspect:
            if self._calm:
                self._rouse(at_s)
            self._after(at_s, place)

    def _maintained(self, tracker: Tracker) -> bool:
        name = tracker.provider
        return any(name in s.maintained and s.trackers.get(name) is tracker for s in self.states)

    def _await_reports(self, index: int) -> None:
        next_s = self._flows[index][1].next_s
        if next_s < self._duration_s:
            heappush(self._heap, (next_s, _FLOW, index, 0, None))

    def _turn(self, state: RouteState, at_s: float) -> None:
        """Applications follow the flag."""
        for index, (_, flow) in enumerate(self._flows):
            serves = state.trackers.get(state.primary) is flow.tracker
            if serves and flow.next_s == math.inf:
                flow.begin(at_s)
                self._await_reports(index)
            elif not serves and flow.tracker in state.trackers.values():
                flow.end()

    def _after(self, at_s: float, index: int) -> None:
        """A canary has ended: the judge wakes, and its seconds count from here."""
        self._ticks_from_s, self._ticks = at_s, 0
        self._judge(at_s, index)

    # -- the judge -----------------------------------------------------------------------------

    def _judge(self, at_s: float, index: int | None = None) -> None:
        """What the daemon does when a canary has ended (of provider `index`), and each second."""
        full = self._restless
        settled, leaving = True, False
        # Whether a candidate may have to be proven.
        near = full
        for state in self.states:
            state.maintain(EPOCH_S + at_s)
            for tracker in state.trackers.values():
                if full or tracker.traffic is not None:  # reports come between ticks
                    tracker.tick(at_s)
                if tracker.changes:
                    self.course.take(state.name, tracker, at_s)
            stays = state.settled
            if full or not stays or state.leaving:
                self._decide(state, at_s)
                stays = state.settled
            settled = settled and stays
            leaving = leaving or state.leaving
            near = near or leaving or not stays or state.preparing
        pending = any(t.path_pending for w in self._watched for t in w.trackers)
        short = self._adjust(at_s, pending, None if near or pending else index)
        self._restless = self._every_second or pending or short or leaving or not settled
        self._calm = (
            not self._restless
            and not self._flying
            and self._windowless
            and all(watched.quiet for watched in self._watched)
        )
        self._set_tick(at_s)

    def _decide(self, state: RouteState, at_s: float) -> None:
        assert state.seen is not None
        show(state, at_s, state.seen.flag, state.seen.flips)
        standing = Standing(
            now_s=at_s, now_ms=round((EPOCH_S + at_s) * 1000), shut={}, spent=self._spent
        )
        decision = decide(view_of(state, standing), state.policy)
        if decision.action in (Action.FLIP, Action.SEED):
            self._move(state, at_s, decision.target, decision.kind, decision.reason)
        state.decided(decision, standing)

    def _move(self, state: RouteState, at_s: float, target: str, kind: str, reason: str) -> None:
        source = state.seen.flag.provider if state.seen and state.seen.flag else ""
        flip = move(state, at_s, target, reason, kind)
        self.course.moves.append(Move(at_s, state.name, source, target, kind, reason))
        if self._flows:
            self._turn(state, at_s)
        # As in the daemon, a flag that exists only here is not watched.
        if flip.moved and state.route.mode is not Mode.OBSERVE:
            state.moved_to(target, at_s)

    # -- the schedule --------------------------------------------------------------------------

    def _adjust(self, at_s: float, pending: bool, only: int | None) -> bool:
        """Sets every timer by what the routes need; gives whether some budget runs short.

        `only`: of no other provider anything was learned, so the quiet ones stay as they are.
        """
        spent, short = set(), False
        for index, watched in enumerate(self._watched):
            if only is not None and index != only and watched.quiet:
                continue
            low, afford = False, None
            if watched.cost_usd > 0:
                now = EPOCH_S + at_s
                low, afford = self._is_low(watched, now), self._afford(watched, now)
                short = short or low
                if self._budget.exhausted(watched.name, watched.cost_usd, now):
                    spent.add(watched.name)
            needs = [
                state.need(watched.name, at_s, asked=False, witness=pending)
                for state in self.states
                if watched.name in state.trackers
            ]
            start_s = watched.rhythm.adjust(needs, at_s, afford)
            if afford is not None:
                for tracker in watched.trackers:
                    tracker.paced_s = watched.rhythm.pace.interval_s
            if start_s is not None:
                watched.timer += 1
                heappush(self._heap, (start_s, _START, index, watched.timer, None))
            watched.quiet = not low and watched.is_quiet()
        self._spent = frozenset(spent)
        return short or bool(spent)

    def _set_tick(self, at_s: float) -> None:
        """Sets the next tick that could change anything; an earlier one is void."""
        self._tick_is += 1
        if self._calm:
            return
        tick = self._ticks + 1
        if not self._restless:
            after_s = at_s - NEARLY_S
            turn_s = min(
                min(state.turn_s(after_s) for state in self.states),
                min(state.window_turns - EPOCH_S for state in self.states),
                min(watched.turn_s(after_s) for watched in self._watched),
            )
            if turn_s == math.inf:
                return
            tick = max(tick, math.ceil((turn_s - self._ticks_from_s) / TICK_S - NEARLY_S))
        self._ticks = tick - 1
        heappush(
            self._heap,
            (self._ticks_from_s + tick * TICK_S, _TICK, 0, self._tick_is, None),
        )


def _world(scenario: Scenario, provider: Provider) -> ProviderModel:
    """The provider's weather; each one that is made has the same."""
    return ProviderModel(
        f"{scenario.seed} {provider.name}",
        scenario.providers[provider.name],
        (i for i in scenario.incidents if i.provider == provider.name),
        provider.canary.first_text_timeout.total_seconds(),
        provider.canary.timeout.total_seconds(),
    )


def simulate(
    scenario: Scenario, config: Config, progress: Progress | None = None
) -> SimulationResult:
    """Runs a scenario; the same one always gives the same."""
    return result(scenario, config, Engine(scenario, config).run(progress))
