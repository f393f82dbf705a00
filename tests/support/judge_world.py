"""A route in virtual time for the state machine: real trackers and decisions, a Redis that is
only a value, and a second, simpler book of what the canaries found, to hold each flip against."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import cast

from prober.detection.tracker import Change
from prober.failover.decision_view import view_of
from prober.failover.memory import Memory
from prober.failover.route_state import RouteState, Standing, vouched_by
from prober.probing.pacing import Purpose, pace
from prober.sample import Fault, Outcome, Phases, Sample
from prober.simulation.simulate.virtual_flag import move, show
from prober.simulation.simulate.virtual_provider import EPOCH_S
from switch.control.decide import FAILOVERS, LATENCY, OUTAGE, Action, Alarm, Decision, decide
from switch.control.lease import Lease
from switch.control.target import View
from switch.flag import Flag, Flip, Health, Mode, Op, Origin, Pin
from tests.support.judge_book import FREEZE_S, HEALTHY_FOR_S, NAMES, RESIDES, Book, Setting, parsed


class World:
    """Providers, a schedule, a Redis and operators around one RouteState."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.at_s = 1_000.0
        self.chance = Random(seed)
        self.setting = setting
        config = parsed(setting.text())
        self.state = RouteState(config, config.route[0], cast(Lease, None), Memory())
        self.config = config
        self.flag: Flag | None = None
        self.flips: tuple[Flip, ...] = ()
        self.pin: Pin | None = None
        self.regime: dict[str, tuple[Outcome, float]] = dict.fromkeys(NAMES, (Outcome.OK, 1.0))
        self.due_s: dict[str, float] = dict.fromkeys(NAMES, 0.0)
        self.books = {name: Book() for name in NAMES}
        self.readable = self.leader = self.sql_up = True
        self.paused = self.blind = False
        self.held_until_s = float("-inf")
        self.spent: frozenset[str] = frozenset()
        self.shut: dict[str, str] = {}
        self.epoch = 0
        self.number = 0
        self.seen: set[str] = set()

    # -- canaries ----------------------------------------------------------------------------

    def begin(self) -> str:
        self.number += 1
        return str(self.number)

    def sample(self, name: str, outcome: Outcome, started_s: float, base_rate: bool) -> Sample:
        """`timeout_total` stands for an answer that is only slow."""
        slow = outcome is Outcome.TIMEOUT_TOTAL
        return Sample(
            "", name, "here", "m", EPOCH_S + started_s, started_s,
            Outcome.OK if slow else outcome,
            Phases(first_byte_s=0.1, first_text_s=3.1 if slow else 0.5, total_s=0.6),
            base_rate=base_rate,
        )  # fmt: skip

    def land(self, sample: Sample) -> None:
        """Judge.ended, for one route."""
        state, name = self.state, sample.provider
        tracker = state.trackers.get(name)
        if tracker is None:
            return
        if name in state.maintained:
            tracker.dropped(sample.id)
        else:
            tracker.ended(sample)
            self.books[name].note(sample)
        if sample.fault is not Fault.PATH:
            for other in vouched_by(self.config, name):
                self.witness(other, sample.started_s)

    def witness(self, name: str, started_s: float) -> None:
        self.books[name].witnessed_s = max(self.books[name].witnessed_s, started_s)
        if name in self.state.trackers:
            self.state.trackers[name].witnessed(started_s)

    def canary(self, name: str, outcome: Outcome, base_rate: bool) -> None:
        sample = replace(self.sample(name, outcome, self.at_s - 0.7, base_rate), id=self.begin())
        self.state.trackers[name].started(sample.id)
        self.land(sample)

    def schedule(self) -> None:
        """Sends what is due, at the pace that the route asks for."""
        waits = any(tracker.path_pending for tracker in self.state.trackers.values())
        for name, tracker in self.state.trackers.items():
            need = self.state.need(name, self.at_s, asked=False, witness=waits)
            wanted = pace(need, 30.0, 3.0)
            tracker.paced_s = wanted.interval_s
            due_s = min(self.due_s[name], self.at_s + wanted.interval_s)
            if self.at_s >= due_s and name not in self.shut and name not in self.spent:
                outcome, share = self.regime[name]
                found = outcome if self.chance.random() < share else Outcome.OK
                self.canary(name, found, wanted.purpose is Purpose.BASE)
                due_s = self.at_s + wanted.interval_s
            self.due_s[name] = due_s

    def passes(self, seconds: float, step_s: float = 1.0) -> None:
        """Time in which the daemon works."""
        end_s = self.at_s + seconds
        while self.at_s < end_s:
            self.at_s += step_s
            self.schedule()
            self.look()

    # -- operators and mishaps ---------------------------------------------------------------

    def reload(self, setting: Setting) -> None:
        dropped = set(self.setting.names) - set(setting.names)
        changed = setting.kind != self.setting.kind
        self.setting, self.config = setting, parsed(setting.text())
        self.state.configure(self.config, self.config.route[0])
        self.books |= {name: Book() for name in dropped}
        if changed:
            self.forgive()

    def forgive(self) -> None:
        """Half-finished evidence is dropped where nothing is latched."""
        for name, tracker in self.state.trackers.items():
            if not tracker.breached:
                self.books[name].entries.clear()

    def gap(self, seconds: float) -> None:
        """The machine slept. As Judge._mind_the_gap."""
        self.at_s += seconds
        for tracker in self.state.trackers.values():
            tracker.forget()
        self.forgive()
        self.held_until_s = self.at_s + 45

    def people(self, target: str, pin_s: float | None) -> None:
        """The flip script for `prober failover` and `prober pin`."""
        self.observe()
        before = self.flag
        flip = self.write(target, "by hand")
        flip = replace(flip, op=Op.MANUAL if before else Op.SEED, actor="ada",
                       origin=Origin.OPERATOR)  # fmt: skip
        self.flips = (*self.flips[:-1], flip)
        assert self.flag is not None
        self.flag = replace(self.flag, actor="ada", origin=Origin.OPERATOR)
        if before and before.provider == target:
            self.flag = replace(self.flag, changed_at=before.changed_at)
        now_ms = self.now_ms
        if pin_s is not None:
            self.pin = Pin(target, "ada", "", now_ms + round(pin_s * 1000))

    # -- what Redis shows --------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return round((EPOCH_S + self.at_s) * 1000)

    def observe(self) -> None:
        show(self.state, self.at_s, self.flag, self.flips)
        assert self.state.seen is not None
        self.state.seen = replace(self.state.seen, pin=self.pin)

    def write(self, target: str, reason: str) -> Flip:
        flip = move(self.state, self.at_s, target, reason)
        assert self.state.seen is not None
        self.flag, self.flips = self.state.seen.flag, self.state.seen.flips
        return flip

    @property
    def live_pin(self) -> Pin | None:
        return self.pin if self.pin and self.pin.until_ms > self.now_ms else None

    def muted(self, name: str) -> bool:
        return any(n == name and s <= self.at_s < e for n, s, e, _ in self.setting.windows)

    def drained(self, name: str) -> bool:
        return any(
            n == name and s - 300 <= self.at_s < e and action == "drain"
            for n, s, e, action in self.setting.windows
        )

    def allowed(self, name: str) -> bool:
        where = self.setting.residency
        return not where or (bool(RESIDES[name]) and set(RESIDES[name]) <= set(where))

    # -- Judge._route ------------------------------------------------------------------------

    def look(self) -> Decision:
        state = self.state
        before = state.maintained
        state.maintain(EPOCH_S + self.at_s)
        for name in before ^ state.maintained:
            if not state.trackers[name].breached:
                self.books[name].entries.clear()
        for name, tracker in state.trackers.items():
            tracker.tick(self.at_s)
            book = self.books[name]
            if Change.RECOVERED in tracker.changes:
                book.entries = book.entries[-4:]
                ended_s = tracker.last.ended_s if tracker.last else self.at_s
                # Who was never to be left has nothing to wait for.
                book.may_serve_s = ended_s + HEALTHY_FOR_S if book.grave else book.may_serve_s
                book.grave = False
            book.grave = book.grave or bool(tracker.breach.latched & state.policy.flip_on)
            tracker.changes.clear()
        self.observe()
        state.leased = self.readable and self.leader and state.route.mode is not Mode.OBSERVE
        if not self.readable:
            state.seen = None
        holding = "time jumped" if self.at_s < self.held_until_s else ""
        standing = Standing(
            self.at_s, self.now_ms, self.shut, self.spent, self.paused, self.blind, self.sql_up,
            holding,
        )  # fmt: skip
        view = view_of(state, standing)
        decision = decide(view, state.policy)
        self.check(view, decision)
        if decision.action in (Action.FLIP, Action.SEED):
            if state.route.mode is Mode.OBSERVE:
                state.virtual = Flag("chat", decision.target, self.now_ms, "observed",
                                     origin=Origin.AUTOMATIC, changed_at=self.now_ms)  # fmt: skip
            else:
                assert state.may_write
                self.write(decision.target, decision.reason)
                state.moved_to(decision.target, self.at_s)
        state.decided(decision, standing)
        self.seen.add(f"{decision.action} {decision.kind}".strip())
        if decision.alarm:
            self.seen.add(decision.alarm)
        assert self.flag is None or self.flag.epoch >= self.epoch, "the epoch fell"
        self.epoch = self.flag.epoch if self.flag else self.epoch
        return decision

    # -- what must hold at every decision ----------------------------------------------------

    def check(self, view: View, decision: Decision) -> None:
        assert decision.reason
        observing = self.setting.mode == "observe"
        self.way_out(view, decision)
        if decision.action not in (Action.FLIP, Action.SEED):
            return
        assert self.readable, "nobody moves a flag he cannot read"
        assert self.at_s >= self.held_until_s, "a time gap is no outage"
        assert not self.blind, "our own network is gone"
        assert observing or self.leader, "only the holder of the lease writes"
        assert not self.paused or (observing and decision.action is Action.FLIP)
        target, leaving = decision.target, view.flag.provider if view.flag else ""
        assert target != leaving
        assert target in self.setting.names
        assert self.allowed(target)
        pin = self.live_pin
        if pin and view.flag:
            assert (decision.kind, target) == ("pin", pin.provider), "a pin is overridden"
            return
        self.fit(target, last_resort=decision.kind == "last_resort")
        if view.flag is None:
            assert decision.action is Action.SEED
            return
        assert self.setting.mode != "propose"
        self.grounds(view, decision, leaving)

    def fit(self, target: str, *, last_resort: bool) -> None:
        book, tracker = self.books[target], self.state.trackers[target]
        assert book.proven(self.at_s), "the target has not just answered"
        if last_resort:
            assert tracker.breach.returning or not tracker.breached
        else:
            assert not tracker.breached
            assert self.at_s >= book.may_serve_s, "it must stay healthy for longer first"
        assert not self.muted(target)
        assert not self.drained(target)
        assert target not in self.shut
        assert target not in self.spent

    def grounds(self, view: View, decision: Decision, leaving: str) -> None:
        tracker = self.state.trackers.get(leaving)
        moves = [flip for flip in self.flips if flip.moved]
        rested = not moves or view.now_ms - moves[-1].at_ms >= HEALTHY_FOR_S * 1000
        match decision.kind:
            case "planned":
                assert (
                    leaving not in self.setting.names
                    or not self.allowed(leaving)
                    or self.drained(leaving)
                )
            case "failover":
                assert tracker is not None
                assert not self.muted(leaving), "unknown is not down"
                assert view.provider(leaving).health is not Health.UNKNOWN  # type: ignore[union-attr]
                assert self.books[leaving].failures() >= 3, "nothing spoke against it"
                if tracker.breached <= LATENCY:
                    mine, other = tracker.latency_s, self.state.trackers[decision.target].latency_s
                    assert mine is not None
                    assert other is not None
                    assert other <= 0.7 * mine
                if self.frozen():
                    assert tracker.breached & OUTAGE, "frozen"
                    assert self.state.trackers[decision.target].good_in_a_row >= 20
                    assert rested or self.setting.mode == "observe"
            case "last_resort":
                assert tracker is not None
                assert view.provider(leaving).health is not Health.UNKNOWN  # type: ignore[union-attr]
                assert tracker.breached & OUTAGE, "only out of an outage"
                assert self.books[leaving].failures() >= 3, "nothing spoke against it"
                failed = [
                    left.at_ms
                    for taken, left in pairwise(moves)
                    if taken.kind == "last_resort" and left.kind in FAILOVERS
                ]
                lately = any(view.now_ms - at_ms <= FREEZE_S * 1000 for at_ms in failed)
                assert not (self.frozen() and lately), "frozen"
            case "failback":
                assert rested or self.setting.mode == "observe", "the dwell is not over"
                assert view.now_ms - view.flag.changed_at >= HEALTHY_FOR_S * 1000  # type: ignore[union-attr]
                assert not self.frozen()
                assert self.sql_up
                assert self.setting.failback == "auto"
            case other:
                raise AssertionError(f"no grounds of kind {other!r}")

    def frozen(self) -> bool:
        """Two automatic flips within the hour, since an operator last acknowledged them."""
        since_ms = self.state.acknowledged_ms
        times = [flip.at_ms for flip in self.flips if flip.automatic and flip.at_ms > since_ms]
        return any(
            later - earlier <= FREEZE_S * 1000 and self.now_ms < later + 2 * FREEZE_S * 1000
            for earlier, later in pairwise(times)
        )

    def way_out(self, view: View, decision: Decision) -> None:
        """Out of an outage to a long-healthy target nothing holds but what may."""
        primary = view.provider(view.flag.provider) if view.flag else None
        may_hold = (
            view.holding or not view.redis_readable or view.pin or view.paused
            or not (view.leader or view.mode is Mode.OBSERVE) or view.mode is Mode.PROPOSE
        )  # fmt: skip
        if may_hold or primary is None:
            return
        outage = primary.health in (Health.BREACHED, Health.INELIGIBLE) and primary.breached & (
            OUTAGE & self.state.policy.flip_on
        )
        others = [p for p in view.providers if p.name != primary.name and self.allowed(p.name)]
        fit = [
            p
            for p in others
            if p.health in (Health.OK, Health.SUSPECT, Health.UNKNOWN)
            and not self.muted(p.name)
            and not self.drained(p.name)
        ]
        if outage and not fit:
            if decision.kind != "last_resort":
                assert decision.action is Action.HOLD
                assert decision.alarm in (Alarm.NO_CANDIDATE, Alarm.FROZEN)
        elif outage and all(p.proven and p.good_in_a_row >= 20 for p in fit):
            moves = [flip.at_ms for flip in view.flips if flip.moved]
            if not moves or view.now_ms - max(moves) >= HEALTHY_FOR_S * 1000:
                assert decision.action is Action.FLIP, "the way out of an outage is blocked"
