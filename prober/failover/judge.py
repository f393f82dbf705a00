"""The judge: samples -> Health -> decide -> flip. Never waits for SQL or for an alert.

Each tick reads one immutable view per route, mends what Redis shows if it must, decides, acts,
and keeps the sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from prober.failover.changes import Changes
from prober.failover.decision_view import view_of
from prober.failover.drill_runner import DrillRunner
from prober.failover.executor import CommittedFlip, Executor
from prober.failover.notifier import Notifier, actor_of
from prober.failover.publisher import Publisher
from prober.failover.repair import Repairer
from prober.failover.route_state import RouteState, Standing, vouched_by
from prober.failover.self_check import Blindness, Gap
from prober.failover.voting import Voting
from prober.history.installation import OtherInstallationError
from prober.probing.pacing import Need, RateShare
from prober.sample import Fault, Sample
from switch.control.decide import Action, Decision, decide
from switch.control.lease import TIMING, Ballot
from switch.control.writer import RECENT, WHOLE, Observed
from switch.flag import Flip, MalformedFlagError, Mode, Op

if TYPE_CHECKING:
    from prober.clock import Clock
    from prober.config.schema import Config
    from prober.detection.tracker import Tracker
    from prober.failover.identity import Identity
    from prober.history.incidents import Incidents
    from switch.control.target import View

log = logging.getLogger(__name__)

TICK_S = TIMING.loop_s
LONGEST_RETRY_S = 30.0
TELL_AFTER_REFUSALS = 3


class Judge:
    """Owns the routes' state. Everything it needs is handed in.

    Attributes:
        shut: provider -> why it cannot be probed; the schedule skips those too.
        spent: providers whose canary budget is exhausted.
        asked: provider -> until when an operator wants it proven (monotonic seconds).
        ticked_s: when the last tick that went well began.
    """

    def __init__(
        self,
        config: Config,
        states: Iterable[RouteState],
        executor: Executor,
        incidents: Incidents,
        notifier: Notifier,
        clock: Clock,
        ballot: Ballot | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.config = config
        self.states = {state.name: state for state in states}
        self.shut: dict[str, str] = {}
        self.spent: frozenset[str] = frozenset()
        self.asked: dict[str, float] = {}
        self.paused = False
        self.sql_up = True
        self.gap = Gap()
        self.blindness = Blindness()
        self.incidents = incidents
        self.identity = identity
        self._executor = executor
        self._heartbeat = Publisher(executor.writer)
        self._repairer = Repairer(config, executor, notifier)
        self._drills = DrillRunner(executor, notifier, actor_of(config))
        self._notifier = notifier
        self._changes = Changes(incidents, notifier, clock)
        self.voting = Voting(config, ballot)
        self._clock = clock
        self._wake = asyncio.Event()
        self._stopping = False
        self.ticked_s: float | None = None

    # -- what the schedule tells -----------------------------------------------------------

    def trackers_of(self, provider: str) -> list[tuple[RouteState, Tracker]]:
        return [
            (state, tracker)
            for state in self.states.values()
            if (tracker := state.trackers.get(provider)) is not None
        ]

    def started(self, provider: str, id: str) -> None:
        for _, tracker in self.trackers_of(provider):
            tracker.started(id)

    def serves(self, provider: str) -> bool:
        """Whether it is the primary of any route."""
        return any(state.primary == provider for state in self.states.values())

    def share(self, provider: str) -> RateShare:
        """This vantage's part of a provider's base-rate canaries: the most any route asks for."""
        shares = (state.share(provider) for state, _ in self.trackers_of(provider))
        return min(shares, key=lambda share: share.count, default=RateShare())

    def paced(self, provider: str, interval_s: float) -> None:
        """Canaries come this far apart now: how long silence means nothing."""
        for _, tracker in self.trackers_of(provider):
            tracker.paced_s = interval_s

    def dropped(self, provider: str, id: str) -> None:
        for _, tracker in self.trackers_of(provider):
            tracker.dropped(id)

    def ended(self, sample: Sample) -> None:
        """Takes a sample to every route that knows its provider, and wakes the judge."""
        self.gap.mind(self._clock.mono(), self.states.values())
        for state, tracker in self.trackers_of(sample.provider):
            if sample.provider in state.maintained:
                tracker.dropped(sample.id)  # inside a maintenance window nothing counts
            else:
                tracker.ended(sample)
        if sample.fault is not Fault.PATH:
            self._witness(sample)
        self._wake.set()

    def wake(self) -> None:
        """Something was learned: judges at once."""
        self._wake.set()

    def _witness(self, sample: Sample) -> None:
        """An answer proves our own path for providers in other failure domains."""
        for name in vouched_by(self.config, sample.provider):
            for _, tracker in self.trackers_of(name):
                tracker.witnessed(sample.started_s)

    def control_answered(self, started_s: float) -> None:
        """One of [network].controls answered something that began at `started_s`."""
        for state in self.states.values():
            for tracker in state.trackers.values():
                tracker.witnessed(started_s)
        self._wake.set()

    @property
    def wants_witness(self) -> bool:
        return any(t.path_pending for s in self.states.values() for t in s.trackers.values())

    def needs(self, provider: str, now_s: float) -> list[Need]:
        """How urgently each route wants to know of a provider."""
        asked = now_s < self.asked.get(provider, float("-inf"))
        witness = self.wants_witness
        return [
            state.need(provider, now_s, asked=asked, witness=witness)
            for state, _ in self.trackers_of(provider)
        ]

    # -- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Judges every second, and at once when a sample has ended, until `stop`."""
        while not self._stopping:
            await self.tick()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: on Python 3.11 that can swallow a cancellation.
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            self._wake.clear()

    def stop(self) -> None:
        """Ends `run` after the tick under way: redis-py can swallow a cancellation."""
        self._stopping = True
        self._wake.set()

    async def tick(self) -> None:
        """One look at every route. Never raises for Redis or for what is in it."""
        now_s = self._clock.mono()
        self.gap.mind(now_s, self.states.values())
        for state in self.states.values():
            state.maintain(self._clock.now())
            for tracker in state.trackers.values():
                tracker.tick(now_s)
        await self._mind_blindness(now_s)
        well = True
        for state in list(self.states.values()):
            try:
                await self._route(state)
            except Exception:
                # One route must not stop the others. The watchdog goes hungry meanwhile.
                log.exception("%s: judging failed", state.name)
                well = False
        if well:
            self.ticked_s = now_s

    def standing(self) -> Standing:
        now_s = self._clock.mono()
        return Standing(
            now_s=now_s,
            now_ms=round(self._clock.now() * 1000),
            shut=self.shut,
            spent=self.spent,
            paused=self.paused,
            blind=self.blindness.since_s is not None,
            sql_up=self.sql_up,
            holding=self.gap.holding(now_s),
        )

    def pulse(self) -> None:
        """Called a few times a second, whatever Redis does: its silence is a time gap."""
        self.gap.pulse(self._clock.mono(), self.states.values())

    async def _mind_blindness(self, now_s: float) -> None:
        unseen = self.blindness.begins(self.config, self.shut, self.states.values(), now_s)
        if unseen:
            for state in self.states.values():
                await self._release(state)
            await self._notifier.blind(unseen)

    # -- one route -----------------------------------------------------------------------------

    async def _route(self, state: RouteState) -> None:
        await self._observe(state)
        if state.seen is not None:
            landed, unresolved = await self._executor.settle(state)
            for flip in landed:
                await self._flipped(state, CommittedFlip(flip, 0))
            for flip in unresolved:
                await self._notifier.unresolved(flip)
            if not state.unsettled and self._may_try(state):
                if await self._repairer.repair(state, self._clock.mono()):
                    self._heartbeat.republish(state.name)
                    await self._observe(state)
                await self._tried(state)
        await self._changes.take(state)
        # Nothing is awaited from here to the decision, so that it sees no breach without incident.
        standing = self.standing()
        self.voting.count(state, standing)
        view, primary = view_of(state, standing), state.primary
        decision = decide(view, state.policy)
        if _gist(decision) != _gist(state.decision):
            log.info("%s: %s: %s", state.name, decision.action, decision.reason)
        if not await self._drill(state, view, decision):
            await self._act(state, decision, standing, view)
        state.decided(decision, standing)
        observing = state.route.mode is Mode.OBSERVE
        await self.incidents.decided(
            state.name, primary, decision, self._clock.now(), observing=observing
        )
        await self._notifier.alarm(state, decision)
        await self._notifier.voted(state)
        await self.voting.cast(state, standing.now_s)
        await self._heartbeat.beat(state, standing)

    async def _observe(self, state: RouteState) -> None:
        reads_before = state.reads
        try:
            # After a start, or without Redis for a while, the stream may hold any number of news.
            events = RECENT if state.seen is not None else WHOLE
            seen = await self._executor.writer.observe(state.keys, events=events)
            if self.identity is not None:
                await self._admit(self.identity, seen)
            state.saw(seen)
            state.other = ""
            state.why_unseen = "" if seen.writable else "Redis is a read-only replica"
            self.voting.count(state, self.standing())
            wants_lease = self.blindness.since_s is None and state.route.mode is not Mode.OBSERVE
            if state.stands_back:
                await self._release(state)
            elif wants_lease and seen.writable:
                await self._hold_lease(state, seen.lease)
            else:
                state.leased = False
        except OtherInstallationError as error:
            state.seen, state.leased = None, False
            state.other = state.why_unseen = str(error)
            await self._notifier.other(self.identity.held if self.identity else None)
            return
        except (RedisError, OSError, MalformedFlagError) as error:
            state.seen, state.leased = None, False
            state.why_unseen = str(error) or type(error).__name__
        if not (state.reads and reads_before):
            self._heartbeat.republish(state.name)
            await self._notifier.redis(state, lost=not state.reads)

    async def _admit(self, identity: Identity, seen: Observed) -> None:
        """Goes on only with a Redis of our own installation. Raises OtherInstallationError."""
        if id := await identity.admit(seen):
            self._executor.belongs_to(id)

    async def _hold_lease(self, state: RouteState, holder: str | None) -> None:
        now_s = self._clock.mono()
        lost = holder != state.lease.nonce
        if not state.leased or lost or now_s - state.leased_s > TIMING.renew_after_s:
            state.leased = await state.lease.hold()
            state.leased_s = now_s

    async def _release(self, state: RouteState) -> None:
        if state.leased:
            state.leased = False
            try:
                await state.lease.release()
            except (RedisError, OSError) as error:
                log.info("%s: the lease could not be given up: %s", state.name, error)

    async def _drill(self, state: RouteState, view: View, decision: Decision) -> bool:
        """Gives a drill under way its step; True when that was this tick's flip."""
        if not self._may_try(state):
            return False
        tried, done = await self._drills.step(state, view, decision)
        if tried:
            await self._tried(state)
        if done is not None:
            await self._flipped(state, done)
        return tried

    async def _act(
        self, state: RouteState, decision: Decision, standing: Standing, view: View
    ) -> None:
        if decision.action not in (Action.FLIP, Action.SEED):
            return
        if state.route.mode is Mode.OBSERVE:
            state.pretend(decision, standing, actor_of(self.config))
            return
        if not self._may_try(state):
            return
        op = Op.SEED if decision.action is Action.SEED else Op.AUTO
        done = await self._executor.flip(
            state,
            op,
            decision.target,
            decision.reason,
            actor=actor_of(self.config),
            evidence=self._evidence(state, decision, view),
        )
        await self._tried(state)
        if done is not None:
            await self._flipped(state, done)

    def _may_try(self, state: RouteState) -> bool:
        return self._clock.mono() >= state.retry_s

    async def _tried(self, state: RouteState) -> None:
        """A Redis that refuses our writes is asked less and less often, and people are told."""
        if not state.refused:
            return
        why, state.refused = state.refused, ""
        state.refusals += 1
        pause_s = min(LONGEST_RETRY_S, 0.5 * 2**state.refusals)
        state.retry_s = self._clock.mono() + pause_s
        if state.refusals == TELL_AFTER_REFUSALS:
            await self._notifier.refused(state, why)

    def _evidence(self, state: RouteState, decision: Decision, view: View) -> dict[str, object]:
        """The figures a flip is remembered by; its alert is written from them alone."""
        leaving, seen = state.trackers.get(state.primary), view.provider(state.primary)
        target = state.trackers[decision.target]
        incident = self.incidents.find(state.name, state.primary)
        number = incident.number if incident else self.incidents.away(state.name, decision.target)
        return {
            "kind": decision.kind,
            "why": seen.why if seen else decision.reason,
            "since": leaving.breach.onset_at if leaving and leaving.breach.latched else None,
            "account": bool(leaving and leaving.account.kind),
            "proof": target.proof(),
            "incident": number,
        }

    async def _flipped(self, state: RouteState, done: CommittedFlip) -> None:
        flip = done.flip
        log.warning("%s: %s -> %s: %s", flip.route, flip.from_provider, flip.to_provider,
                    flip.reason)  # fmt: skip
        if flip.moved:
            state.moved_to(flip.to_provider, self._clock.mono())
        await self._notifier.notify(state, flip, done.notified)

    def ship(self, flips: Iterable[Flip]) -> None:
        """Gives SQL flips it may have missed; it keeps each once."""
        self._executor.ship(flips)

    async def missed(self, state: RouteState, flip: Flip) -> None:
        """After a restart: tells of a flip whose alert may never have been written down."""
        await self._notifier.missed(state, flip, round(self._clock.now() * 1000))

    async def retire(self, gone: Iterable[RouteState]) -> None:
        """Routes that a reload removed, and incidents of whoever is watched no longer."""
        for state in gone:
            await self._release(state)
        for incident in self.incidents.open:
            watched = self.states.get(incident.route)
            if watched is None or incident.provider not in watched.trackers:
                why = f"{incident.provider} is not watched for {incident.route} any more"
                await self.incidents.end(incident.route, incident.provider, self._clock.now(), why)

    async def release_all(self) -> None:
        """Gives every lease up, at shutdown."""
        for state in self.states.values():
            await self._release(state)


def _gist(decision: Decision) -> tuple[object, ...]:
    """A decision without its running figures: worth a log line when it changes."""
    words = re.sub(r"[\d.]+", "#", decision.reason)
    return decision.action, decision.target, decision.alarm, words
