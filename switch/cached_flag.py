"""What an application believes of one route, moved by what it sees and hears. Pure.

Only the `state` hash moves the epoch. A message on the channel is a hint: it is served at once
and taken back unless `state` confirms it in time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from switch.snapshot import RememberedRoute

if TYPE_CHECKING:
    from switch.flag import Candidate, Flag

CONFIRM_WITHIN_S = 2.0
STALE_POLLS = 3
ANNOUNCED = "announced, not confirmed yet"


class Source(StrEnum):
    """Where the served name comes from."""

    LIVE = "live"
    CACHED = "cached"
    SNAPSHOT = "snapshot"
    DEFAULT = "default"
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class Reading:
    """What `reader.flag(route)` gives.

    Attributes:
        epoch: of the last confirmed state; a message alone does not move it.
        read_age_s: seconds since Redis was last read well; None: never by this process.
        checked_age_s: seconds since the daemon was last seen to check; old: it is dead.
        stale: Redis has not confirmed a flag for three polls; true, too, where it holds none.
        unsupported: the provider that the flag names and this application does not support; empty
            while all is well. What is served is then an older choice, or the default.
    """

    provider: str
    epoch: int
    reason: str
    source: Source
    read_age_s: float | None
    checked_age_s: float | None
    stale: bool
    unsupported: str = ""


@dataclass(frozen=True, slots=True)
class Hint:
    provider: str
    epoch: int
    decision_id: str
    until_s: float


class CachedFlag:
    """One route as one process sees it. Every method takes the monotonic time in seconds."""

    def __init__(
        self,
        route: str,
        default: str = "",
        supported: Collection[str] = (),
        remembered: RememberedRoute | None = None,
        order: Iterable[str] = (),
    ) -> None:
        """`order` is whom to fall back on until the daemon's list of providers is known."""
        self.route = route
        self.default = default
        self.supported = frozenset(supported)
        self._order = tuple(dict.fromkeys(order))
        self.known: set[str] = {default, *supported, *self._order} - {""}
        self.flag: Flag | None = None
        self.candidates: tuple[Candidate, ...] = ()
        self.unsupported = ""
        self._served = default
        self._hint: Hint | None = None
        self._read_s: float | None = None
        self._confirmed_s: float | None = None
        self._checked_at = 0
        self._checked_s: float | None = None
        self._snapshot: RememberedRoute | None = None
        if remembered is not None and self.supports(remembered.provider):
            # It stands for as long as Redis has not spoken, and fences nothing: a file from
            # another Redis must not hold out against this one.
            self._snapshot = remembered
            self._served = remembered.provider
            self.known.add(remembered.provider)
            self.saw_candidates(remembered.candidates)

    def supports(self, provider: str) -> bool:
        return not self.supported or provider in self.supported

    def served(self, now_s: float) -> str:
        """The provider to use now; empty when nothing is known and there is no default."""
        if self._hint and now_s < self._hint.until_s:
            return self._hint.provider
        return self._served

    def fallbacks(self, served: str) -> tuple[str, ...]:
        """Who may be tried after `served`, in the route's order, or in the application's own."""
        eligible = tuple(c.name for c in self.candidates if c.eligible)
        names = eligible if self.candidates else self._order
        return tuple(name for name in names if name != served and self.supports(name))

    @property
    def hinted(self) -> bool:
        return self._hint is not None

    def forget_old_hint(self, now_s: float) -> None:
        if self._hint and now_s >= self._hint.until_s:
            self._hint = None

    def remember(self) -> RememberedRoute | None:
        """What the next process may start from; None while Redis has never spoken."""
        if self.flag is None or not self._served:
            return self._snapshot
        return RememberedRoute(self._served, self.flag.epoch, self.flag.reason, self.candidates)

    def saw_candidates(self, candidates: Sequence[Candidate]) -> None:
        """The daemon's list of providers: a message naming one of them is believed at once.

        An empty list is an emptied Redis, so the one before it stays.
        """
        if candidates:
            self.candidates = tuple(candidates)
            self.known.update(candidate.name for candidate in candidates)

    def saw_state(self, flag: Flag | None, now_s: float) -> None:
        """`state` was read; None: it holds no flag, and what is known stays."""
        self._read_s = now_s
        if flag is None:
            return
        if flag.checked_at != self._checked_at:
            self._checked_at, self._checked_s = flag.checked_at, now_s
        if self.flag is not None and flag.epoch < self.flag.epoch:
            return  # an old backup, or a master that lost a write
        self.flag, self._confirmed_s = flag, now_s
        self.known.add(flag.provider)
        if self._hint and flag.epoch >= self._hint.epoch:
            self._hint = None
        if self.supports(flag.provider):
            self.unsupported = ""
            self._served = flag.provider
        else:
            self.unsupported = flag.provider

    def heard(self, provider: str, epoch: int, decision_id: str, now_s: float) -> bool:
        """A message came; True when `state` should be read back to confirm it."""
        newest = max(
            self.flag.epoch if self.flag else 0,
            self._hint.epoch if self._hint and now_s < self._hint.until_s else 0,
        )
        if epoch < newest:
            return False
        if provider in self.known and self.supports(provider) and epoch > newest:
            self._hint = Hint(provider, epoch, decision_id, now_s + CONFIRM_WITHIN_S)
        return True

    def reading(self, now_s: float, poll_s: float) -> Reading:
        read_age = None if self._read_s is None else now_s - self._read_s
        stale = self._confirmed_s is None or now_s - self._confirmed_s > STALE_POLLS * poll_s
        epoch, reason = 0, ""
        if self.flag:
            source = Source.CACHED if stale else Source.LIVE
            epoch, reason = self.flag.epoch, self.flag.reason
        elif self._snapshot:
            source = Source.SNAPSHOT
            epoch, reason = self._snapshot.epoch, self._snapshot.reason
        else:
            source = Source.DEFAULT
        if self._hint and now_s < self._hint.until_s:
            reason = ANNOUNCED
        return Reading(
            provider=self.served(now_s),
            epoch=epoch,
            reason=reason,
            source=source,
            read_age_s=read_age,
            checked_age_s=None if self._checked_s is None else now_s - self._checked_s,
            stale=stale,
            unsupported=self.unsupported,
        )
