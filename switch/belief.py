"""What an application believes of one route, moved by what it sees and hears. Pure.

Only the `state` hash moves the epoch. A message on the channel is a hint: it is served at once
and taken back unless `state` confirms it in time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from switch.flag import Flag

CONFIRM_WITHIN_S = 2.0


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
        read_age_s: seconds since Redis was last read well; None: never.
        checked_age_s: seconds since the daemon was last seen to check; old: it is dead.
        stale: Redis has not been read for three polls.
    """

    provider: str
    epoch: int
    reason: str
    source: Source
    read_age_s: float | None
    checked_age_s: float | None
    stale: bool


@dataclass(frozen=True, slots=True)
class Hint:
    provider: str
    epoch: int
    decision_id: str
    until_s: float


class Belief:
    """One route as one process sees it. Every method takes the monotonic time in seconds."""

    def __init__(self, route: str, default: str = "", supported: Collection[str] = ()) -> None:
        self.route = route
        self.default = default
        self.supported = frozenset(supported)
        self.known: set[str] = {default, *supported} - {""}
        self.flag: Flag | None = None
        self.unsupported = ""
        self._served = default
        self._hint: Hint | None = None
        self._read_s: float | None = None
        self._checked_at = 0
        self._checked_s: float | None = None

    def served(self, now_s: float) -> str:
        """The provider to use now; empty when nothing is known and there is no default."""
        if self._hint and now_s < self._hint.until_s:
            return self._hint.provider
        return self._served

    def saw_candidates(self, names: Collection[str]) -> None:
        """The daemon's list of providers: a message naming one of them is believed at once."""
        self.known.update(names)

    def saw_state(self, flag: Flag | None, now_s: float) -> None:
        """`state` was read; None: it holds no flag, and what is known stays."""
        self._read_s = now_s
        if flag is None:
            return
        if flag.checked_at != self._checked_at:
            self._checked_at, self._checked_s = flag.checked_at, now_s
        if self.flag is not None and flag.epoch < self.flag.epoch:
            return  # an old backup, or a master that lost a write
        self.flag = flag
        self.known.add(flag.provider)
        if self._hint and flag.epoch >= self._hint.epoch:
            self._hint = None
        if self.supported and flag.provider not in self.supported:
            self.unsupported = flag.provider
        else:
            self.unsupported = ""
            self._served = flag.provider

    def heard(self, provider: str, epoch: int, decision_id: str, now_s: float) -> bool:
        """A message came; True when `state` should be read back to confirm it."""
        newest = max(
            self.flag.epoch if self.flag else 0,
            self._hint.epoch if self._hint and now_s < self._hint.until_s else 0,
        )
        if epoch < newest:
            return False
        known = provider in self.known and not (self.supported and provider not in self.supported)
        if known and epoch > newest:
            self._hint = Hint(provider, epoch, decision_id, now_s + CONFIRM_WITHIN_S)
        return True

    def reading(self, now_s: float, poll_s: float) -> Reading:
        read_age = None if self._read_s is None else now_s - self._read_s
        stale = read_age is None or read_age > 3 * poll_s
        flag = self.flag
        known = Source.CACHED if stale else Source.LIVE
        return Reading(
            provider=self.served(now_s),
            epoch=flag.epoch if flag else 0,
            reason=flag.reason if flag else "",
            source=known if flag else Source.DEFAULT,
            read_age_s=read_age,
            checked_age_s=None if self._checked_s is None else now_s - self._checked_s,
            stale=stale,
        )
