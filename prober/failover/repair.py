"""Brings Redis and what we know together before anything is decided: see `reconcile`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prober.failover.notifier import BREAK_GLASS, Notifier, actor_of
from prober.failover.reconcile import Repair, RepairVerdict, reconcile
from switch.control.writer import RECENT, PinChange
from switch.flag import Flag, Flip, Op, Origin, Pin

if TYPE_CHECKING:
    from prober.config.schema import Config
    from prober.failover.executor import Executor
    from prober.failover.route_state import RouteState

BREAK_GLASS_MS = 3_600_000


class Repairer:
    """Adopts what others wrote, and repairs what Redis lost."""

    def __init__(self, config: Config, executor: Executor, notifier: Notifier) -> None:
        self._config = config
        self._executor = executor
        self._notifier = notifier

    async def repair(self, state: RouteState, now_s: float) -> bool:
        """Brings Redis and what we know together; True when the flag was written."""
        assert state.seen is not None
        known = state.memory.known()
        tracker = state.trackers.get(known.flip.to_provider) if known.flip else None
        verdict = reconcile(
            known,
            state.seen,
            may_serve=state.may_serve,
            known_is_bad=bool(tracker and tracker.breached),
        )
        if verdict.repair is Repair.ADOPT:
            await self._adopt(state, now_s)
            return False
        if verdict.repair is Repair.NOTHING or not state.may_write:
            return False
        if verdict.repair is Repair.SEED and not state.may_seed:
            return False
        return await self._write_mend(state, verdict)

    async def _adopt(self, state: RouteState, now_s: float) -> None:
        """Others moved the flag (an operator, another vantage): it is the truth now."""
        seen, last = state.seen, state.memory.flip
        assert seen is not None
        assert seen.flag is not None
        after = last.epoch if last else 0
        older = seen.flips[:-RECENT]
        for flip in older:
            state.memory.learn(flip)
        # History learns of them all; a journal record each would hold the judge up for seconds.
        self._executor.ship(flip for flip in older if flip.epoch > after)
        for flip in seen.flips[-RECENT:]:
            if flip.epoch <= after or flip.epoch > seen.flag.epoch:
                state.memory.learn(flip)
                continue
            await self._executor.record(state, flip)
            if last is not None:
                await self._notifier.by_leader(state, partial(self._notifier.adopted, state, flip))
            if flip.moved:
                state.moved_to(flip.to_provider, now_s)
        if state.memory.flip is None or state.memory.flip.decision_id != seen.flag.decision_id:
            await self._executor.record(state, _from_state(seen.flag, seen.live_pin))

    async def _write_mend(self, state: RouteState, verdict: RepairVerdict) -> bool:
        assert state.seen is not None
        if verdict.repair is Repair.ADOPT_BY_HAND:
            until_ms = state.seen.time_ms + BREAK_GLASS_MS
            pin = Pin(verdict.provider, BREAK_GLASS, verdict.reason, until_ms)
            done = await self._executor.flip(
                state,
                Op.MANUAL,
                verdict.provider,
                verdict.reason,
                actor=BREAK_GLASS,
                origin=Origin.BREAK_GLASS,
                pin=PinChange(pin),
                evidence={"kind": verdict.repair.value, "named": verdict.provider},
            )
        else:
            op = Op.SEED if verdict.repair is Repair.SEED else Op.REPAIR
            done = await self._executor.flip(
                state,
                op,
                verdict.provider,
                verdict.reason,
                actor=actor_of(self._config),
                origin=Origin.REPAIR,
                floor=verdict.floor,
                pin=verdict.pin,
                evidence={"kind": verdict.repair.value, "named": state.seen.primary},
            )
        if done is None:
            return False
        await self._notifier.notify(state, done.flip, done.notified)
        return True


def _from_state(flag: Flag, pin: Pin | None) -> Flip:
    """A flag whose event is no longer in the stream."""
    return Flip(
        route=flag.route,
        op=Op.REPAIR,
        epoch=flag.epoch,
        decision_id=flag.decision_id,
        parent=flag.parent,
        from_provider=flag.previous,
        to_provider=flag.provider,
        reason=flag.reason,
        actor=flag.actor,
        at_ms=flag.changed_at,
        pin=pin,
        origin=flag.origin,
    )
