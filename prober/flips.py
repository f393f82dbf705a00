"""Flips as records: the journal's and SQL's form of what the flag went through. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prober.drill import Drilled, drilled
from prober.journal import Record
from prober.reconcile import Known
from prober.store.tables import flip_row, pin_row
from prober.store.writer import Row
from switch.flag import Flip, Op, Origin, Pin, decode_origin

LINEAGE = 1_000
# Enough to know who placed the flag and how often automation moved it of late.
DECIDED = 64


def to_record(flip: Flip) -> dict[str, Any]:
    pin = flip.pin
    return {
        "route": flip.route,
        "op": flip.op.value,
        "epoch": flip.epoch,
        "decision_id": flip.decision_id,
        "parent": flip.parent,
        "from": flip.from_provider,
        "to": flip.to_provider,
        "reason": flip.reason,
        "actor": flip.actor,
        "at_ms": flip.at_ms,
        "evidence": dict(flip.evidence),
        "pin": [pin.provider, pin.owner, pin.reason, pin.until_ms] if pin else None,
        "pin_cleared": flip.pin_cleared,
        "origin": flip.origin.value,
    }


def from_record(record: Mapping[str, Any]) -> Flip:
    pin, op = record["pin"], Op(record["op"])
    return Flip(
        route=record["route"],
        op=op,
        epoch=record["epoch"],
        decision_id=record["decision_id"],
        parent=record["parent"],
        from_provider=record["from"],
        to_provider=record["to"],
        reason=record["reason"],
        actor=record["actor"],
        at_ms=record["at_ms"],
        evidence=record["evidence"],
        pin=Pin(pin[0], pin[1], pin[2], pin[3], record["epoch"]) if pin else None,
        pin_cleared=record["pin_cleared"],
        origin=decode_origin(record.get("origin"), record["actor"], op),
    )


def rows(flip: Flip) -> list[Row]:
    """What SQL keeps of it; writing it twice is harmless."""
    found = [Row("flip", flip_row(flip))]
    if flip.pin is not None:
        found.append(Row("pin", pin_row(flip)))
    return found


@dataclass
class Memory:
    """What this process knows a route went through: the base of recovery.

    Attributes:
        decided: the newest flips that people or automation decided on, oldest first; what only
            put back an earlier one is left out.
    """

    flip: Flip | None = None
    pin: Pin | None = None
    lineage: dict[str, str] = field(default_factory=dict)
    drilled: Drilled | None = None
    decided: tuple[Flip, ...] = ()

    def learn(self, flip: Flip) -> None:
        """Takes one flip up; an older one adds to the lineage and to `decided` only."""
        self.lineage[flip.decision_id] = flip.parent
        while len(self.lineage) > LINEAGE:
            del self.lineage[next(iter(self.lineage))]
        if flip.op is not Op.REPAIR and flip.origin is not Origin.REPAIR:
            self.decided = joined(self.decided, (flip,))[-DECIDED:]
        if self.flip is not None and flip.epoch <= self.flip.epoch:
            return
        self.flip = flip
        self.drilled = drilled(self.drilled, flip)
        if flip.pin is not None:
            self.pin = flip.pin
        elif flip.pin_cleared:
            self.pin = None

    def known(self) -> Known:
        return Known(self.flip, self.pin, self.lineage)


def joined(known: tuple[Flip, ...], shown: tuple[Flip, ...]) -> tuple[Flip, ...]:
    """Both by epoch, each flip once; `shown` as it is where it lacks nothing."""
    there = {flip.decision_id for flip in shown}
    lost = [flip for flip in known if flip.decision_id not in there]
    return tuple(sorted((*lost, *shown), key=lambda flip: flip.epoch)) if lost else shown


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a flag names the provider it names.

    Attributes:
        flip: what made it so; None: nobody remembers.
        since: what else happened to the flag since then, oldest first.
    """

    flip: Flip | None
    since: tuple[Flip, ...]


def cause_of(flips: Iterable[Flip], provider: str) -> Cause:
    """From the newest flips, oldest first: a pin, an unpin or a repair hides no cause."""
    known = tuple(flips)
    led = [flip for flip in known if flip.moved and flip.to_provider == provider]
    decided = [flip for flip in led if flip.origin is not Origin.REPAIR] or led
    flip = decided[-1] if decided else None
    return Cause(flip, tuple(f for f in known if flip is None or f.epoch > flip.epoch))


@dataclass
class Remembered:
    """What the journal says of all routes."""

    memories: dict[str, Memory]
    open_intents: dict[str, list[Record]]
    flips: list[Flip]


def remember(journal: Iterable[Record]) -> Remembered:
    """Reads the flips, and the intents whose end is not known, out of a journal."""
    memories: dict[str, Memory] = {}
    intents: dict[str, Record] = {}
    flips: list[Flip] = []
    for record in journal:
        if record["kind"] == "done":
            flip = from_record(record)
            flips.append(flip)
            memories.setdefault(flip.route, Memory()).learn(flip)
        if record["kind"] == "intent":
            intents[record["decision_id"]] = record
        elif record["kind"] in ("done", "refusal", "abandoned", "unresolved"):
            intents.pop(record["decision_id"], None)
    by_route: dict[str, list[Record]] = {}
    for record in intents.values():
        by_route.setdefault(record["route"], []).append(record)
    return Remembered(memories, by_route, flips)
