"""Carries a decision out: journal, script, journal, history. One way for every kind of flip.

A call whose answer never came is neither done nor failed until Redis says so: see `settle`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from prober.failover.reconcile import Settled, settle
from prober.history.records import from_record, rows, to_record
from prober.history.store.writer import Row, Store
from switch.control.writer import (
    DEADLINE_MS,
    Answer,
    FlagWriter,
    FlipRequest,
    FlipUnknownError,
    PinChange,
    Status,
)
from switch.flag import ORIGIN_OF_OP, Flip, Op, Origin

if TYPE_CHECKING:
    from prober.failover.route_state import RouteState
    from prober.history.journal import Journal, Record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommittedFlip:
    """A committed change of the flag. `notified`: subscribers that heard of it at once."""

    flip: Flip
    notified: int


class Executor:
    """Writes flags on behalf of the judge."""

    def __init__(self, writer: FlagWriter, journal: Journal, store: Store | None) -> None:
        self.writer = writer
        self._journal = journal
        self._store = store

    async def flip(
        self,
        state: RouteState,
        op: Op,
        provider: str,
        reason: str,
        *,
        actor: str,
        origin: Origin | None = None,
        evidence: Mapping[str, Any] | None = None,
        floor: int = 0,
        pin: PinChange | None = None,
    ) -> CommittedFlip | None:
        """One attempt, on what was last observed; None when it was refused or is not known.

        `origin`: where it does not follow from `op`. Never raises for Redis.
        """
        seen = state.seen
        if seen is None:
            return None
        # A seed replaces no flag; one that is there after all must make it fail.
        flag = None if op is Op.SEED else seen.flag
        request = FlipRequest(
            op=op,
            decision_id=uuid.uuid4().hex,
            provider=provider,
            reason=reason,
            actor=actor,
            deadline_ms=seen.time_ms + DEADLINE_MS,
            expected_epoch=flag.epoch if flag else 0,
            expected_decision_id=flag.decision_id if flag else "",
            floor=floor,
            nonce=state.lease.nonce,
            mode=state.route.mode,
            evidence=evidence or {},
            pin=pin,
            origin=origin or ORIGIN_OF_OP[op],
        )
        meant = Flip(
            route=state.name,
            op=op,
            epoch=0,
            decision_id=request.decision_id,
            parent=flag.decision_id if flag else "",
            from_provider=flag.provider if flag else "",
            to_provider=provider,
            reason=reason,
            actor=actor,
            at_ms=seen.time_ms,
            evidence=dict(request.evidence),
            pin=pin.pin if pin else None,
            pin_cleared=pin is not None and pin.pin is None,
            origin=request.origin,
        )
        intent: Record = {
            **to_record(meant),
            "deadline_ms": request.deadline_ms,
            "expected_decision_id": request.expected_decision_id,
            "replication_id": seen.replication_id,
        }
        await self._journal.append("intent", **intent)
        try:
            answer = await self.writer.flip(state.keys, request, replicas=seen.replicas)
        except FlipUnknownError as error:
            log.warning("%s: the flip to %s got no answer (%s)", state.name, provider, error)
            state.unsettled.append(intent)
            return None
        except RedisError as error:
            state.refused = str(error) or type(error).__name__
            await self._refused(meant, "error", str(error))
            return None
        if answer.status is not Status.COMMITTED:
            state.refused = answer.status.value
            await self._refused(meant, answer.status.value, reason)
            return None
        state.refusals = 0
        return await self._committed(state, meant, answer)

    async def _committed(self, state: RouteState, meant: Flip, answer: Answer) -> CommittedFlip:
        flip = replace(meant, epoch=answer.epoch, at_ms=answer.time_ms)
        await self.record(state, flip)
        return CommittedFlip(flip, answer.told)

    async def record(self, state: RouteState, flip: Flip) -> None:
        """Keeps a flip that Redis has: ours, or one adopted from the stream."""
        state.memory.learn(flip)
        await self._journal.append("done", **to_record(flip))
        self._to_sql(flip)

    def _to_sql(self, flip: Flip) -> None:
        if self._store is not None:
            self._store.put(*rows(flip))

    def belongs_to(self, installation: str) -> None:
        """Whose history this is; until then it waits."""
        if self._store is not None:
            self._store.belongs_to(installation)

    def ship(self, flips: Iterable[Flip]) -> None:
        for flip in flips:
            self._to_sql(flip)

    async def _refused(self, meant: Flip, status: str, reason: str) -> None:
        log.warning("%s: the flip to %s was refused: %s", meant.route, meant.to_provider, status)
        await self._journal.append(
            "refusal",
            decision_id=meant.decision_id,
            route=meant.route,
            status=status,
            at=meant.at_ms / 1000,
        )
        if self._store is not None:
            values = {
                "decision_id": meant.decision_id,
                "route": meant.route,
                "at": meant.at_ms / 1000,
                "status": status,
                "wanted": meant.to_provider,
                "reason": reason,
            }
            self._store.put(Row("refusal", values))

    async def settle(self, state: RouteState) -> tuple[list[Flip], list[Flip]]:
        """Reads back what calls without an answer became.

        Gives (those that had landed, those whose fate cannot be known).
        """
        landed: list[Flip] = []
        unresolved: list[Flip] = []
        seen = state.seen
        if seen is None:
            return landed, unresolved
        for intent in list(state.unsettled):
            became = settle(intent, seen)
            if became is Settled.WAIT:
                continue
            state.unsettled.remove(intent)
            if became is Settled.DONE:
                flip = seen.find(intent["decision_id"]) or from_record(
                    {**intent, "epoch": seen.flag.epoch if seen.flag else 0}
                )
                await self.record(state, flip)
                landed.append(flip)
                continue
            await self._journal.append(
                became.value, decision_id=intent["decision_id"], route=state.name
            )
            await self._refused(from_record(intent), became.value, intent["reason"])
            if became is Settled.UNRESOLVED:
                unresolved.append(from_record(intent))
        return landed, unresolved
