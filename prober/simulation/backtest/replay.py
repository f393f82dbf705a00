"""One setting over recorded canaries: true trackers and decisions, on a virtual flag. Pure.

A decision is taken when a canary ends: between two of them nothing is learned. While all is well
good canaries are only kept, and told to their trackers together, as in `simulate.engine`.

What the record cannot hold is assumed, and said: a target counts as proven when its newest four
recorded canaries were good and none is older than four base intervals (a daemon would have sent
four more at once); people go home as soon as they are told that they can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from prober.config.types import DetectorKind
from prober.detection.rules import TrackerRules
from prober.detection.tracker import PROOF, Change, Tracker
from prober.failover.decision_view import view_of
from prober.failover.memory import Memory
from prober.failover.route_state import RouteState, Standing, vouched_by
from prober.sample import Fault, Outcome, Sample
from prober.simulation.backtest.truth import measured
from prober.simulation.other_tools import objectives_of
from prober.simulation.simulate import virtual_flag
from prober.simulation.simulate.virtual_provider import EPOCH_S
from switch.control.decide import Action, Alarm, Decision, decide
from switch.flag import Mode

if TYPE_CHECKING:
    from prober.config.objectives import Objective
    from prober.config.schema import Config, Route
    from prober.history.store.queries import Taken

# Others' rules look at their base rate throughout; half-of-minute needs what it can get.
AT_BASE_RATE = frozenset({DetectorKind.CONSECUTIVE_3, DetectorKind.FOR_5M, DetectorKind.BURN})
# Good canaries that wait to be told are told before they are many.
KEPT = 4_096
OK = Outcome.OK.value


@dataclass(frozen=True, slots=True)
class Turn:
    """A flip that would have been, or was wanted and could not be.

    Attributes:
        at: seconds since the epoch.
        recorded: the record holds the target's proof as the daemon asks for it.
    """

    at: float
    source: str
    target: str
    kind: str
    reason: str
    recorded: bool = True


class _Recorded(TrackerRules):
    """Rules by which four canaries at the base rate are a proof."""

    @property
    def proof_age_s(self) -> float:
        return PROOF * self.interval_s + self.timeout_s


class _Watched:
    """One provider whose canaries were recorded; with a tracker if it is a candidate."""

    __slots__ = ("name", "passed", "strict", "text_limit_s", "total_limit_s", "tracker", "vouches")

    def __init__(self, name: str, tracker: Tracker | None) -> None:
        self.name = name
        self.tracker = tracker
        self.vouches: list[Tracker] = []
        self.passed: list[Taken] = []
        self.text_limit_s = self.total_limit_s = math.inf
        if tracker is not None:
            self.strict = tracker.rules
            tracker.rules = _Recorded(**asdict(tracker.rules))
            for evidence in tracker.evidence:
                self._limit(evidence.objective)

    def _limit(self, objective: Objective) -> None:
        """Sets what no canary of a calm may pass; a limit that is not a time allows none."""
        limit_s = objective.limit_s if objective.limit_s is not None else -math.inf
        match objective.name:
            case "availability" | "quality":
                return
            case "total":
                self.total_limit_s = min(self.total_limit_s, limit_s)
            case "ttft":
                self.text_limit_s = min(self.text_limit_s, limit_s)
            case _:
                self.total_limit_s = -math.inf


class Replay:
    """Feed it batches in the order of time, then `finish`. Use once.

    Args:
        primary: who serves at `start_at`.

    Attributes:
        turns: the flips, oldest first.
        unproven: when the primary should have been left and nobody could be shown to be fit.
        breaches: provider -> (from, to) of each; `to` is infinite if it lasts.
        gaps: (from, to) of stretches in which nobody looked at all.
    """

    def __init__(self, config: Config, route: Route, primary: str, start_at: float) -> None:
        played = played_as(route)
        self._config = config
        self.turns: list[Turn] = []
        self.unproven: list[Turn] = []
        self.breaches: dict[str, list[tuple[float, float]]] = {}
        self.gaps: list[tuple[float, float]] = []
        self.state = state = RouteState(
            config, played, virtual_flag.NoLease(), Memory(), objectives_of
        )
        state.leased = True
        virtual_flag.show(state, start_at - EPOCH_S, None, ())
        virtual_flag.move(state, start_at - EPOCH_S, primary, "the record begins")
        self._watched = {
            p.name: _Watched(p.name, state.trackers.get(p.name)) for p in config.provider
        }
        for watched in self._watched.values():
            names = vouched_by(config, watched.name)
            watched.vouches = [t for n in names if (t := state.trackers.get(n)) is not None]
        self._thin = route.detector.kind in AT_BASE_RATE
        self._gap_s = max(t.rules.stale_after_s(0.0) for t in state.trackers.values())
        self._flying: list[tuple[float, int, _Watched, Sample]] = []
        self._number = 0
        self._newest_at = start_at
        self._open: dict[str, float] = {}
        self._wish: Turn | None = None
        self._calm = False

    def feed(self, batch: Sequence[Taken]) -> None:
        flying = self._flying
        for taken in batch:
            at = taken.started_at
            while flying and flying[0][0] <= at:
                self._land()
            if at - self._newest_at > self._gap_s:
                self._gap(at)
            self._newest_at = at
            watched = self._watched.get(taken.provider)
            if watched is None or (self._thin and not taken.base_rate):
                continue
            if (
                self._calm
                and taken.outcome == OK
                and taken.base_rate
                and taken.first_text_s is not None
                and taken.first_text_s <= watched.text_limit_s
                and taken.total_s <= watched.total_limit_s
                and not taken.retried
            ):
                if watched.tracker is not None:
                    watched.passed.append(taken)
                continue
            self._rouse()
            self._launch(watched, taken)
        for watched in self._watched.values():
            if len(watched.passed) > KEPT:
                _tell(watched)

    def finish(self) -> None:
        while self._flying:
            self._land()
        self._rouse()
        self._give_up_wish()
        for provider, since in self._open.items():
            self.breaches.setdefault(provider, []).append((since, math.inf))
        self._open.clear()

    # -- canaries ------------------------------------------------------------------------------

    def _rouse(self) -> None:
        self._calm = False
        for watched in self._watched.values():
            if watched.passed:
                _tell(watched)

    def _launch(self, watched: _Watched, taken: Taken) -> None:
        sample = measured(taken)
        if watched.tracker is not None:
            watched.tracker.started(sample.id)
        self._number += 1
        heappush(self._flying, (sample.ended_s, self._number, watched, sample))

    def _land(self) -> None:
        at, _, watched, sample = heappop(self._flying)
        tracker = watched.tracker
        if watched.name in self.state.maintained:
            if tracker is not None:
                tracker.dropped(sample.id)  # as in the daemon: inside a window nothing counts
        elif tracker is not None:
            tracker.ended(sample)
        if sample.fault is not Fault.PATH:
            for other in watched.vouches:
                other.witnessed(sample.started_s)
        self._judge(at)

    def _gap(self, at: float) -> None:
        """Nobody looked: the daemon was down, and half-finished evidence is worth nothing."""
        self._rouse()
        while self._flying:
            self._land()
        for tracker in self.state.trackers.values():
            tracker.forget()
        self._give_up_wish()
        self.gaps.append((self._newest_at, at))

    # -- the judge -----------------------------------------------------------------------------

    def _judge(self, at: float) -> None:
        state = self.state
        state.maintain(at)
        quiet = True
        for tracker in state.trackers.values():
            if tracker.path_pending:
                tracker.tick(at)
            if tracker.changes:
                self._changed(tracker, at)
            if quiet and (tracker.suspect or tracker.breached or tracker.breach.resumed):
                quiet = False
        if state.leaving or not state.settled:
            self._decide(at)
        self._calm = quiet and not self._flying and state.settled and not state.leaving

    def _changed(self, tracker: Tracker, at: float) -> None:
        name = tracker.provider
        for change in tracker.changes:
            if change in (Change.BREACHED, Change.ACCOUNT):
                self._open.setdefault(name, at)
            elif change in (Change.RECOVERED, Change.ACCOUNT_WELL) and not tracker.breached:
                since = self._open.pop(name, None)
                if since is not None:
                    self.breaches.setdefault(name, []).append((since, at))
        tracker.changes = []

    def _decide(self, at: float) -> None:
        state = self.state
        seen = state.seen
        assert seen is not None
        # The virtual flag counts from the simulator's first second.
        virtual_flag.show(state, at - EPOCH_S, seen.flag, seen.flips)
        standing = Standing(now_s=at, now_ms=round(at * 1000), shut=self._silent(at))
        decision = decide(view_of(state, standing), state.policy)
        if decision.action is Action.FLIP:
            self._flip(decision, at)
        else:
            self._wanted(decision, at)
        state.decided(decision, standing)

    def _flip(self, decision: Decision, at: float) -> None:
        target = self._watched[decision.target]
        assert target.tracker is not None
        lenient, target.tracker.rules = target.tracker.rules, target.strict
        recorded = target.tracker.proven(at)
        target.tracker.rules = lenient
        flip = virtual_flag.move(
            self.state, at - EPOCH_S, decision.target, decision.reason, decision.kind
        )
        source = flip.from_provider
        self.turns.append(
            Turn(at, source, decision.target, decision.kind, decision.reason, recorded)
        )
        self._wish = None
        self.state.moved_to(decision.target, at)

    def _wanted(self, decision: Decision, at: float) -> None:
        """Remembers since when the primary should have been left."""
        proving = decision.action is Action.PROVE and decision.kind in ("failover", "last_resort")
        if not (proving or decision.alarm is Alarm.NO_CANDIDATE):
            self._give_up_wish()
        elif self._wish is None:
            self._wish = Turn(
                at, self.state.primary, decision.target, "failover", decision.reason, False
            )

    def _give_up_wish(self) -> None:
        if self._wish is not None:
            self.unproven.append(self._wish)
            self._wish = None

    def _silent(self, at: float) -> dict[str, str]:
        """Candidates without a canary in the needed moment: nobody can say they were fit."""
        silent = {}
        for name, tracker in self.state.trackers.items():
            last = tracker.last
            if last is None or at - last.ended_s > tracker.rules.stale_after_s(0.0):
                silent[name] = "no canary of it was recorded then"
        return silent


def played_as(route: Route) -> Route:
    """The route as a replay has it: nobody is there to be asked, so it acts by itself."""
    failover = route.failover.model_copy(update={"failback": "auto"})
    return route.model_copy(update={"mode": Mode.AUTO, "failover": failover})


def _tell(watched: _Watched) -> None:
    """The good canaries of a calm reach their tracker."""
    passed, watched.passed = watched.passed, []
    if watched.tracker is not None:
        answers = [(t.started_at, t.started_at + t.total_s, t.first_text_s) for t in passed]
        watched.tracker.went_well(answers, measured(passed[-1]))
