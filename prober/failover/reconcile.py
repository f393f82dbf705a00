"""What Redis shows against what we know was committed: which of the two is mended. Pure.

Used at start-up and on every tick: an emptied Redis, an old backup, a lost last write and a flag
set by hand all look the same from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from switch.control.writer import Observed, PinChange

if TYPE_CHECKING:
    from switch.flag import Flip, Pin


class Repair(StrEnum):
    """What has to be done before anything may be decided."""

    NOTHING = "nothing"
    SEED = "seed"
    ADOPT = "adopt"
    REPAIR = "repair"
    ADOPT_BY_HAND = "adopt_by_hand"
    PUT_BACK = "put_back"


@dataclass(frozen=True, slots=True)
class RepairVerdict:
    """`provider` is what the flag should name; the new epoch must pass `floor`.

    `pin` None: pins are left alone.
    """

    repair: Repair
    reason: str = ""
    provider: str = ""
    floor: int = 0
    pin: PinChange | None = None


@dataclass(frozen=True, slots=True)
class KnownFlag:
    """The record of highest epoch in journal, SQL and memory.

    Attributes:
        pin: the pin that stood at that time, live or not.
        lineage: decision_id -> its parent, as far as we remember.
    """

    flip: Flip | None = None
    pin: Pin | None = None
    lineage: Mapping[str, str] = field(default_factory=dict)

    def descends_from(self, decision_id: str) -> bool:
        """Whether the known record came after `decision_id` in one unbroken line."""
        at = self.flip.parent if self.flip else ""
        seen: set[str] = set()
        while at and at not in seen:
            if at == decision_id:
                return True
            seen.add(at)
            at = self.lineage.get(at, "")
        return False


def reconcile(
    known: KnownFlag,
    seen: Observed,
    *,
    may_serve: frozenset[str],
    known_is_bad: bool,
) -> RepairVerdict:
    """Compares what is known with what is seen.

    Args:
        may_serve: candidates that exist and are allowed by residency.
        known_is_bad: the provider of the known record is in breach.
    """
    if seen.flag is None:
        return _empty(known, seen)
    if known.flip is not None and known.flip.decision_id != seen.flag.decision_id:
        if seen.flag.epoch > known.flip.epoch:
            return RepairVerdict(Repair.ADOPT, "a newer flag was written by somebody else")
        floor = known.flip.epoch
        if known.descends_from(seen.flag.decision_id) and not known_is_bad:
            return RepairVerdict(
                Repair.REPAIR,
                "Redis lost the last write (a failover, or an old backup)",
                known.flip.to_provider,
                floor,
                _still(known.pin, seen),
            )
        return RepairVerdict(
            Repair.REPAIR,
            "Redis holds a flag older than the last one we know",
            seen.flag.provider,
            floor,
        )
    if known.flip is None:
        return RepairVerdict(Repair.ADOPT, "the flag was there before this daemon")
    return _mirror(seen, may_serve)


def _empty(known: KnownFlag, seen: Observed) -> RepairVerdict:
    if known.flip is None:
        return RepairVerdict(Repair.NOTHING, "no flag yet")
    return RepairVerdict(
        Repair.SEED,
        "Redis came back empty; put back what was committed last",
        known.flip.to_provider,
        known.flip.epoch,
        _still(known.pin, seen),
    )


def _still(pin: Pin | None, seen: Observed) -> PinChange:
    """The pin as it was known to stand, set or cleared: Redis may show an older one."""
    return PinChange(pin if pin is not None and pin.live(seen.time_ms) else None)


def _mirror(seen: Observed, may_serve: frozenset[str]) -> RepairVerdict:
    """`primary` is only ever written with `state`; when they differ, somebody wrote by hand."""
    assert seen.flag is not None
    if seen.primary == seen.flag.provider:
        return RepairVerdict(Repair.NOTHING)
    if seen.primary in may_serve:
        return RepairVerdict(
            Repair.ADOPT_BY_HAND,
            f"somebody set the flag to {seen.primary} by hand",
            seen.primary,
        )
    named = f"names {seen.primary!r}, which may not serve here" if seen.primary else "was deleted"
    return RepairVerdict(Repair.PUT_BACK, f"the primary key {named}", seen.flag.provider)


class Settled(StrEnum):
    DONE = "done"
    WAIT = "wait"
    ABANDONED = "abandoned"
    UNRESOLVED = "unresolved"


def settle(intent: Mapping[str, Any], seen: Observed) -> Settled:
    """What became of a flip whose answer never came.

    Absence proves that it was never applied only once its deadline has passed, on the same
    server history, with its parent still there.
    """
    decision_id = intent["decision_id"]
    in_state = seen.flag is not None and seen.flag.decision_id == decision_id
    if in_state or seen.find(decision_id) is not None:
        return Settled.DONE
    if seen.time_ms <= intent["deadline_ms"]:
        return Settled.WAIT
    parent = intent["expected_decision_id"]
    present = not parent or (
        (seen.flag is not None and seen.flag.decision_id == parent) or seen.find(parent) is not None
    )
    if seen.replication_id == intent["replication_id"] and present:
        return Settled.ABANDONED
    return Settled.UNRESOLVED
