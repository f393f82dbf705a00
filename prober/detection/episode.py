"""Trouble that people are told of: once per cause, and once when it is over. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from prober.sample import Cause, Outcome, Sample, words_of

DAY_S = 86_400.0
# So many good canaries in a row end what comes back again and again.
MOST = 256


@dataclass(frozen=True, slots=True)
class Trouble:
    """What people are told. `since_at` (wall clock) is when the episode began, and names it."""

    outcome: Outcome
    cause: Cause
    detail: str
    since_at: float

    @property
    def words(self) -> str:
        return words_of(self.outcome, self.cause)

    @property
    def key(self) -> str:
        """The same for the same cause in the same episode, whatever route or process looks."""
        return f"{self.outcome.value}{self.cause.value}/{int(self.since_at)}"


class Episode:
    """From the first bad canary to the last: over with a good one.

    What comes back within a day is over only after four times as many good ones in a row as the
    last time, or a trouble that flickers would be told for ever.

    Attributes:
        told: the trouble told last; it stays when the episode is over.
    """

    def __init__(self) -> None:
        self.told: Trouble | None = None
        self.open = False
        self._causes: set[str] = set()
        self._good = 0
        self._needed = 1
        self._ended_at = -math.inf

    def bad(self, sample: Sample) -> bool:
        """Takes a canary in trouble; True when its cause is news."""
        self._good = 0
        since_at = self.told.since_at if self.open and self.told else sample.started_at
        if not self.open:
            again = sample.started_at - self._ended_at < DAY_S
            self._needed = min(MOST, 4 * self._needed) if again else 1
            self._causes.clear()
            self.open = True
        trouble = Trouble(sample.outcome, sample.cause, sample.detail, since_at)
        cause = f"{sample.outcome.value}/{sample.cause.value}"
        news = cause not in self._causes
        if news:
            self._causes.add(cause)
            self.told = trouble
        return news

    def good(self, at: float, count: int = 1) -> bool:
        """Takes good canaries; True when they end the episode."""
        if not self.open:
            return False
        self._good += count
        if self._good < self._needed:
            return False
        self.open, self._ended_at = False, at
        return True

    def renew(self) -> None:
        """The configuration has changed: the next good canary ends it."""
        self._needed = 1

    def dump(self) -> dict[str, Any]:
        return {
            "told": asdict(self.told) if self.told else None,
            "open": self.open,
            "causes": sorted(self._causes),
            "needed": self._needed,
            "ended_at": self._ended_at if math.isfinite(self._ended_at) else None,
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError for what `dump` never gave."""
        trouble = saved["told"]
        if trouble is not None:
            outcome, cause = Outcome(trouble["outcome"]), Cause(trouble["cause"])
            self.told = Trouble(outcome, cause, str(trouble["detail"]), float(trouble["since_at"]))
        self.open = bool(saved["open"]) and self.told is not None
        self._causes = set(saved["causes"])
        self._needed = int(saved["needed"])
        ended_at = saved["ended_at"]
        self._ended_at = -math.inf if ended_at is None else float(ended_at)
