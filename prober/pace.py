"""How often to probe: the base interval, or faster on suspicion, within bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SUSPICION_FAST_S = 600.0
SUSPICION_SLOW_S = 3600.0
SLOWER = 5
BUCKET = 400
WATCH_S = 600.0


class Purpose(StrEnum):
    """Why a canary is sent now."""

    BASE = "base"
    SUSPICION = "suspicion"
    RECOVERY = "recovery"
    PROOF = "proof"
    WATCH = "watch"
    WITNESS = "witness"


@dataclass(frozen=True, slots=True)
class Need:
    """What a route wants to know of a provider right now.

    Attributes:
        suspect_for_s: how long it has been under suspicion; None: it is not.
        latched: in breach or in account trouble; `score` says how far it has come back.
        proving: a decision waits for its proof, or soon will.
        watched: just became the primary.
        witness: another provider's path failure waits for it.
    """

    suspect_for_s: float | None = None
    latched: bool = False
    score: int = 0
    proving: bool = False
    watched: bool = False
    witness: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    interval_s: float
    purpose: Purpose


def pace(need: Need, interval_s: float, suspect_interval_s: float) -> Pace:
    """The interval to the next canary.

    Suspicion may be fast for ten minutes, then slower for an hour, then the base interval; a
    provider in breach is looked at slowly until it shows signs of life.
    """
    fast = suspect_interval_s
    slow = min(interval_s, SLOWER * suspect_interval_s)
    if need.proving:
        return Pace(fast, Purpose.PROOF)
    if need.latched:
        return Pace(fast if need.score >= 3 else slow, Purpose.RECOVERY)
    if need.suspect_for_s is not None:
        if need.suspect_for_s < SUSPICION_FAST_S:
            return Pace(fast, Purpose.SUSPICION)
        if need.suspect_for_s < SUSPICION_FAST_S + SUSPICION_SLOW_S:
            return Pace(slow, Purpose.SUSPICION)
    if need.watched:
        return Pace(fast, Purpose.WATCH)
    if need.witness:
        return Pace(fast, Purpose.WITNESS)
    return Pace(interval_s, Purpose.BASE)


class FastBucket:
    """Bounds what lasting noise can cost: 400 fast canaries, one back each base interval.

    Proofs are free: they end by themselves, and they must never wait.
    """

    def __init__(self, interval_s: float, size: int = BUCKET) -> None:
        self._interval_s = interval_s
        self._size = size
        self._tokens = float(size)
        self._at_s: float | None = None

    def bound(self, wanted: Pace, now_s: float, interval_s: float, suspect_s: float) -> Pace:
        """The same pace, or the slow one while the bucket is empty."""
        self._refill(now_s)
        if self._tokens >= 1 or wanted.purpose in (Purpose.BASE, Purpose.PROOF):
            return wanted
        slow = min(interval_s, SLOWER * suspect_s)
        return Pace(max(slow, wanted.interval_s), wanted.purpose)

    def take(self, purpose: Purpose, now_s: float) -> None:
        """A canary was sent."""
        self._refill(now_s)
        if purpose not in (Purpose.BASE, Purpose.PROOF):
            self._tokens = max(0.0, self._tokens - 1)

    def _refill(self, now_s: float) -> None:
        if self._at_s is not None:
            back = (now_s - self._at_s) / self._interval_s
            self._tokens = min(float(self._size), self._tokens + back)
        self._at_s = now_s
