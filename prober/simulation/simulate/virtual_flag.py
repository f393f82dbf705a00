"""A route's flag that exists only here: the flip script's part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prober.simulation.simulate.virtual_provider import EPOCH_S
from switch.control.writer import Observed
from switch.flag import ORIGIN_OF_OP, Flag, Flip, Op

if TYPE_CHECKING:
    from prober.failover.route_state import RouteState

ACTOR = "prober@simulated"
# Flips older than the newest of these bear on no decision: automatic ones freeze long before.
REMEMBERED = 100


class NoLease:
    """Nobody else is there."""

    nonce = "simulated"

    async def hold(self) -> bool:
        return True

    async def release(self) -> None:
        return None


def show(state: RouteState, at_s: float, flag: Flag | None, flips: tuple[Flip, ...]) -> None:
    """What the route would read from Redis now."""
    state.seen = Observed(
        time_ms=round((EPOCH_S + at_s) * 1000),
        replication_id="",
        writable=True,
        replicas=0,
        flag=flag,
        pin=None,
        primary=flag.provider if flag else None,
        lease=None,
        flips=flips,
    )


def move(state: RouteState, at_s: float, target: str, reason: str, kind: str = "") -> Flip:
    """The flag moves, and the stream knows of it. The first one is a seed."""
    assert state.seen is not None
    before, now_ms = state.seen.flag, state.seen.time_ms
    op = Op.AUTO if before else Op.SEED
    flip = Flip(
        route=state.name,
        op=op,
        epoch=now_ms,
        decision_id=f"{state.name}-{now_ms}",
        parent=before.decision_id if before else "",
        from_provider=before.provider if before else "",
        to_provider=target,
        reason=reason,
        actor=ACTOR,
        at_ms=now_ms,
        evidence={"kind": kind},
        origin=ORIGIN_OF_OP[op],
    )
    flag = Flag(
        route=state.name,
        provider=target,
        epoch=now_ms,
        decision_id=flip.decision_id,
        parent=flip.parent,
        previous=flip.from_provider,
        reason=reason,
        actor=ACTOR,
        changed_at=now_ms,
        checked_at=now_ms,
        origin=flip.origin,
    )
    show(state, at_s, flag, (*state.seen.flips, flip)[-REMEMBERED:])
    return flip
