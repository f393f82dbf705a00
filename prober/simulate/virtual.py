"""A route's flag that exists only here: what Redis, its flip script and its stream would hold."""

from __future__ import annotations

from prober.route import RouteState
from switch.flag import Flag, Flip, Op
from switch.writer import Observed

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


def show(state: RouteState, now_ms: int, flag: Flag | None, flips: tuple[Flip, ...]) -> None:
    """The route is told what stands in Redis."""
    state.seen = Observed(
        time_ms=now_ms,
        replication_id="",
        writable=True,
        replicas=0,
        flag=flag,
        pin=None,
        primary=flag.provider if flag else None,
        lease=None,
        flips=flips,
    )


def move(state: RouteState, target: str, reason: str) -> Flip:
    """The flip script's part, at the time the route was shown last: the flag moves."""
    assert state.seen is not None
    before, now_ms, flips = state.seen.flag, state.seen.time_ms, state.seen.flips
    source = before.provider if before else ""
    # Two flips in a millisecond are two all the same.
    epoch = max(now_ms, before.epoch + 1 if before else 0)
    id = f"{state.name}-{epoch}"
    flip = Flip(
        route=state.name,
        op=Op.AUTO if before else Op.SEED,
        epoch=epoch,
        decision_id=id,
        parent=before.decision_id if before else "",
        from_provider=source,
        to_provider=target,
        reason=reason,
        actor=ACTOR,
        at_ms=now_ms,
    )
    show(state, now_ms, placed(flip), (*flips, flip)[-REMEMBERED:])
    return flip


def placed(flip: Flip) -> Flag:
    """The flag that a flip leaves behind."""
    return Flag(
        route=flip.route,
        provider=flip.to_provider,
        epoch=flip.epoch,
        decision_id=flip.decision_id,
        parent=flip.parent,
        previous=flip.from_provider,
        reason=flip.reason,
        actor=flip.actor,
        changed_at=flip.at_ms,
        checked_at=flip.at_ms,
    )
