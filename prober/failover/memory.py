"""What a route went through, as far as this process knows: the base of recovery. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prober.failover.drill import Drilled, drilled
from prober.failover.reconcile import KnownFlag
from prober.history.records import from_record
from switch.flag import Flip, Op, Origin, Pin

if TYPE_CHECKING:
    from prober.history.journal import Record

LINEAGE = 1_000
# Enough to know who placed the flag and how often automation moved it of late.
DECIDED = 64


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

    def known(self) -> KnownFlag:
        return KnownFlag(self.flip, self.pin, self.lineage)


def joined(known: tuple[Flip, ...], shown: tuple[Flip, ...]) -> tuple[Flip, ...]:
    """Both by epoch, each flip once; `shown` as it is where it lacks nothing."""
    there = {flip.decision_id for flip in shown}
    lost = [flip for flip in known if flip.decision_id not in there]
    return tuple(sorted((*lost, *shown), key=lambda flip: flip.epoch)) if lost else shown


@dataclass(frozen=True, slots=True)
class Placement:
    """Why a flag names the provider it names.

    Attributes:
        flip: what made it so; None: nobody remembers.
        since: what else happened to the flag since then, oldest first.
    """

    flip: Flip | None
    since: tuple[Flip, ...]


def cause_of(flips: Iterable[Flip], provider: str) -> Placement:
    """From the newest flips, oldest first: a pin, an unpin or a repair hides no cause."""
    known = tuple(flips)
    led = [flip for flip in known if flip.moved and flip.to_provider == provider]
    decided = [flip for flip in led if flip.origin is not Origin.REPAIR] or led
    flip = decided[-1] if decided else None
    return Placement(flip, tuple(f for f in known if flip is None or f.epoch > flip.epoch))


@dataclass
class JournalMemory:
    """What the journal says of all routes."""

    memories: dict[str, Memory]
    open_intents: dict[str, list[Record]]
    flips: list[Flip]


def remember(journal: Iterable[Record]) -> JournalMemory:
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
    return JournalMemory(memories, by_route, flips)
