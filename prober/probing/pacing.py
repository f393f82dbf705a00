"""How often to probe: the base interval, or faster on suspicion, within bounds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

SUSPICION_FAST_S = 600.0
SUSPICION_SLOW_S = 3600.0
SLOWER = 5
BUCKET = 400
WATCH_S = 600.0
# A score from which a provider in breach is looked at fast.
SIGNS_OF_RECOVERY = 3
# A hang must not hold back the next look at a suspect, nor a slow answer the next proof.
OVERLAP = 4


class Purpose(StrEnum):
    """Why a canary is sent now."""

    BASE = "base"
    SUSPICION = "suspicion"
    RECOVERY = "recovery"
    PROOF = "proof"
    WATCH = "watch"
    WITNESS = "witness"


OVERLAPPING = (Purpose.SUSPICION, Purpose.PROOF)
FREE = (Purpose.BASE, Purpose.PROOF)


@dataclass(frozen=True, slots=True)
class Need:
    """What a route wants to know of a provider right now.

    Attributes:
        suspect_for_s: how long it has been under suspicion; None: it is not.
        latched: in breach or in account trouble; `score` says how far it has come back.
        awaited: the primary has to be left, and this one is weighed for it.
        proving: a decision waits for its proof, or soon will.
        watched: just became the primary.
        witness: another provider's path failure waits for it.
    """

    suspect_for_s: float | None = None
    latched: bool = False
    score: int = 0
    awaited: bool = False
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
    provider in breach is looked at slowly until it shows signs of life, sooner where it is awaited.
    """
    fast = suspect_interval_s
    slow = min(interval_s, SLOWER * suspect_interval_s)
    if need.proving:
        return Pace(fast, Purpose.PROOF)
    if need.latched:
        soon = need.score >= SIGNS_OF_RECOVERY or need.awaited
        return Pace(fast if soon else slow, Purpose.RECOVERY)
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


@dataclass(frozen=True, slots=True)
class RateShare:
    """Our part of the base-rate canaries: every `count`-th, beginning with the `place`-th."""

    count: int = 1
    place: int = 0

    def next_s(self, now: float, interval_s: float) -> float:
        """Seconds from `now`, a clock that all share, to our next turn."""
        return (self.place * interval_s - now) % (self.count * interval_s)


class FastBucket:
    """Bounds what lasting noise can cost: 400 fast canaries, one back each base interval.

    Proofs are free: they end by themselves, and they must never wait. What is kept is when the
    bucket would be full again (GCRA, ITU-T I.371), so that asking often changes nothing.
    """

    __slots__ = ("_capacity_s", "_full_s", "_interval_s")

    def __init__(self, interval_s: float, size: int = BUCKET) -> None:
        self._interval_s = interval_s
        self._capacity_s = size * interval_s
        self._full_s = float("-inf")

    @property
    def ready_s(self) -> float:
        """From when on a fast canary is to be had."""
        return self._full_s - self._capacity_s + self._interval_s

    def bound(self, wanted: Pace, now_s: float, interval_s: float, suspect_s: float) -> Pace:
        """The same pace, or the slow one while the bucket is empty."""
        if now_s >= self.ready_s or wanted.purpose in FREE:
            return wanted
        slow = min(interval_s, SLOWER * suspect_s)
        return Pace(max(slow, wanted.interval_s), wanted.purpose)

    def take(self, purpose: Purpose, now_s: float) -> None:
        """A canary was sent."""
        if purpose not in FREE:
            full_s = max(self._full_s, now_s) + self._interval_s
            self._full_s = min(full_s, now_s + self._capacity_s)


class Rhythm:
    """When one provider is probed: all of the schedule's policy, none of its timers.

    The caller starts a canary whenever `adjust` said, and each `pace.interval_s` after that, if
    `may_launch`; it tells `launched` and `landed`.

    Attributes:
        pace: what was wanted last.
        share: whose turn the base-rate canaries are, when several vantages look.
        flying: canaries under way.
    """

    __slots__ = (
        "_base_s",
        "_moved_s",
        "_started_s",
        "bucket",
        "flying",
        "interval_s",
        "pace",
        "share",
        "suspect_interval_s",
    )  # fmt: skip

    def __init__(self, interval_s: float, suspect_interval_s: float, now_s: float) -> None:
        self.interval_s = interval_s
        self.suspect_interval_s = suspect_interval_s
        self.bucket = FastBucket(interval_s)
        self.pace = Pace(interval_s, Purpose.BASE)
        self.share = RateShare()
        self.flying = 0
        self._started_s = now_s
        self._base_s = float("-inf")
        self._moved_s = float("-inf")

    def adjust(
        self, needs: Sequence[Need], now_s: float, afford: Callable[[Pace], Pace] | None = None
    ) -> float | None:
        """Takes up what the routes need now; gives the next start if that must be moved.

        `afford` slows a pace down to what the budget can pay.
        """
        wanted = self._wanted(needs, now_s)
        if afford is not None:
            wanted = afford(wanted)
        if wanted.purpose is Purpose.BASE and self.share.count > 1:
            shared_s = self.share.count * self.interval_s
            wanted = Pace(max(wanted.interval_s, shared_s), Purpose.BASE)
        moved = wanted.interval_s != self.pace.interval_s
        self.pace = wanted
        if not moved and now_s <= self.silent_s:
            return None
        self._moved_s = now_s
        return max(now_s, self._started_s + wanted.interval_s)

    def turn_s(self, now_s: float, now: float) -> float | None:
        """When our turn at a shared base rate is; None when it is not shared now.

        `now` is the wall clock, the only one that all who share have. Nobody is left out for
        long by those who come and go.
        """
        if self.share.count == 1 or self.pace.purpose is not Purpose.BASE:
            return None
        latest_s = self._started_s + 2 * self.pace.interval_s
        turn_s = now_s + self.share.next_s(now, self.interval_s)
        return min(turn_s, max(now_s, latest_s))

    @property
    def silent_s(self) -> float:
        """Past this, a canary is overdue: the timer is set anew."""
        return max(self._started_s, self._moved_s) + 2 * self.pace.interval_s + 1

    def _wanted(self, needs: Sequence[Need], now_s: float) -> Pace:
        """The most urgent need of all routes, within the bucket."""
        base_s, suspect_s = self.interval_s, self.suspect_interval_s
        # Of two that are as fast, the proof: it is the one that no bucket may slow.
        wanted = min(
            (pace(need, base_s, suspect_s) for need in needs),
            key=_urgency,
            default=Pace(base_s, Purpose.BASE),
        )
        return self.bucket.bound(wanted, now_s, base_s, suspect_s)

    def may_launch(self) -> bool:
        return self.flying < (OVERLAP if self.pace.purpose in OVERLAPPING else 1)

    def launched(self, purpose: Purpose, now_s: float) -> bool:
        """A canary starts; gives whether it counts as one at the base rate.

        One canary an interval is what the base rate would have sent, whatever the pace.
        """
        self.bucket.take(purpose, now_s)
        self._started_s = now_s
        self.flying += 1
        base_rate = purpose is Purpose.BASE or now_s - self._base_s >= self.interval_s
        if base_rate:
            self._base_s = now_s
        return base_rate

    def landed(self) -> None:
        self.flying -= 1


def _urgency(pace: Pace) -> tuple[float, bool]:
    return pace.interval_s, pace.purpose is not Purpose.PROOF
