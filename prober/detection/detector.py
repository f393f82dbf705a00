"""The detectors: a stream of good and bad events in, a breach out. Pure, O(1) an event.

`Fresh` is a CUSUM (Page 1954; optimal in the sense of Lorden 1971) whose likelihood knows about
streaks: a blip is one unbroken streak, so it can never weigh more than two fresh failures, while
failures separated by successes are the mark of a partial outage.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from prober.config.objectives import Dials

LEARN_CAP = 0.05
STREAK_COUNTS = 4


class Detector(Protocol):
    """One objective of one provider in one route."""

    @property
    def breached(self) -> bool: ...

    @property
    def level(self) -> float:
        """How near a breach is: 0 nothing, 1 breached."""
        ...

    def event(self, bad: bool, started_s: float, ended_s: float, base_rate: bool) -> None:
        """One canary, in the order of their starts; seconds by the monotonic clock."""
        ...

    def reset(self) -> None:
        """Forgets the evidence, keeps what was learned."""
        ...

    def explain(self) -> str:
        """The evidence against its threshold, as a clause."""
        ...

    def dump(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...


class Fresh:
    """Fresh failures; the rule and its figures are in docs/detection.md.

    In points: a good event takes one away, a fresh failure (bad after good) adds `fresh`, each
    of the next three in the same streak a third of it, and the breach is at `threshold`.
    """

    __slots__ = (
        "_cap",
        "_p0",
        "_span_s",
        "_streak_s",
        "breached",
        "dials",
        "fresh",
        "learned",
        "points",
        "streak",
        "threshold",
    )  # fmt: skip

    def __init__(self, dials: Dials) -> None:
        self.dials = dials
        self.learned = dials.p0
        self.points = 0.0
        self.streak = 0
        self.breached = False
        self._streak_s = self._span_s = 0.0
        # Past half of p1 the likelihood ratio would turn on its head.
        self._cap = max(dials.p0, min(LEARN_CAP, dials.p1 / 2))
        self._p0 = -1.0
        self._tune()

    def _tune(self, p0: float | None = None) -> None:
        """Sets the dials by `p0`, or else by what was learned."""
        dials = self.dials
        wanted = min(max(self.learned if p0 is None else p0, dials.p0), self._cap)
        if wanted == self._p0:
            return
        self._p0 = wanted
        unit = math.log((1 - self._p0) / (1 - dials.p1))
        self.fresh = math.log(dials.p1 / self._p0) / unit
        self.threshold = dials.evidence / unit

    @property
    def steady(self) -> bool:
        """Good events change nothing: there is no evidence, and nothing to learn."""
        return self.points == 0 and self.streak == 0 and not self.dials.learn_over

    @property
    def level(self) -> float:
        if self.breached:
            return 1.0
        points = self.points / self.threshold
        if self.streak < STREAK_COUNTS:
            return points
        return max(points, self._span_s / self.dials.min_span_s)

    def event(self, bad: bool, started_s: float, ended_s: float, base_rate: bool) -> None:
        over = self.dials.learn_over if base_rate and self.points == 0 else 0
        if over:
            self.learned += (bad - self.learned) / over
        if not bad:
            self.streak = 0
            if self.points > 0:
                self.points = max(0.0, self.points - 1)
            elif over and (self.learned > self.dials.p0 or self._p0 != self.dials.p0):
                self._tune()
            return
        self.streak += 1
        if self.streak == 1:
            self._streak_s = started_s
            self.points += self.fresh
        elif self.streak <= STREAK_COUNTS:
            self.points += self.fresh / 3
        self.points = min(self.points, self.threshold)
        # Events come in the order of their starts; an earlier one may have ended later.
        self._span_s = max(self._span_s if self.streak > 1 else 0.0, ended_s - self._streak_s)
        long_streak = self.streak >= STREAK_COUNTS and self._span_s >= self.dials.min_span_s
        if self.points >= self.threshold or long_streak:
            self.breached = True

    def reset(self) -> None:
        self.points, self.streak, self.breached = 0.0, 0, False
        self._tune()

    def explain(self) -> str:
        if self.breached:
            return f"evidence {self.threshold:.0f} of {self.threshold:.0f}"
        text = f"evidence {self.points:.1f} of {self.threshold:.0f}, "
        if self.streak >= STREAK_COUNTS:
            # Further failures of this streak weigh nothing: it is time that breaches.
            left_s = max(1, math.ceil(self.dials.min_span_s - self._span_s))
            return f"{text}breached in about {left_s} s if nothing succeeds"
        missing = math.ceil((self.threshold - self.points) / self.fresh)
        return f"{text}about {missing} more failure{'s' if missing != 1 else ''}"

    def dump(self) -> dict[str, Any]:
        return {
            "learned": self.learned,
            "p0": self._p0,
            "points": self.points,
            "streak": self.streak,
            "streak_s": self._streak_s,
            "span_s": self._span_s,
            "breached": self.breached,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.learned = float(state.get("learned", self.learned))
        # Dials stay as they were while there is evidence.
        self._tune(float(state["p0"]) if "p0" in state else None)
        self.points = float(state.get("points", 0.0))
        self.streak = int(state.get("streak", 0))
        self._streak_s = float(state.get("streak_s", 0.0))
        self._span_s = float(state.get("span_s", 0.0))
        self.breached = bool(state.get("breached", False))


class KOfN:
    """`k` bad among the last `n`; with k = n that is k in a row."""

    __slots__ = ("_last", "breached", "k")

    def __init__(self, k: int, n: int) -> None:
        self.k = k
        self.breached = False
        self._last: deque[bool] = deque(maxlen=n)

    @property
    def level(self) -> float:
        return 1.0 if self.breached else min(1.0, sum(self._last) / self.k)

    def event(self, bad: bool, started_s: float, ended_s: float, base_rate: bool) -> None:
        if not bad and self._last.maxlen == self.k:
            self._last.clear()
        self._last.append(bad)
        if sum(self._last) >= self.k:
            self.breached = True

    def reset(self) -> None:
        self._last.clear()
        self.breached = False

    def explain(self) -> str:
        in_what = "in a row" if self._last.maxlen == self.k else f"of the last {self._last.maxlen}"
        return f"{sum(self._last)} bad {in_what}, breached at {self.k}"

    def dump(self) -> dict[str, Any]:
        return {"last": list(self._last), "breached": self.breached}

    def load(self, state: dict[str, Any]) -> None:
        self._last.clear()
        self._last.extend(bool(bad) for bad in state.get("last", ()))
        self.breached = bool(state.get("breached", False))


class WindowShare:
    """More than a share bad over a window, once there are enough samples in it."""

    __slots__ = ("_bad", "_events", "breached", "min_samples", "share", "window_s")

    def __init__(self, share: float, window_s: float, min_samples: int) -> None:
        self.share, self.window_s, self.min_samples = share, window_s, min_samples
        self.breached = False
        self._events: deque[tuple[float, bool]] = deque()
        self._bad = 0

    @property
    def level(self) -> float:
        if self.breached:
            return 1.0
        whole = max(len(self._events), self.min_samples)
        return min(1.0, self._bad / whole / self.share)

    def event(self, bad: bool, started_s: float, ended_s: float, base_rate: bool) -> None:
        self._events.append((started_s, bad))
        self._bad += bad
        while self._events[0][0] < started_s - self.window_s:
            self._bad -= self._events.popleft()[1]
        count = len(self._events)
        if count >= self.min_samples and self._bad / count > self.share:
            self.breached = True

    def reset(self) -> None:
        self._events.clear()
        self._bad, self.breached = 0, False

    def explain(self) -> str:
        return (
            f"{self._bad} of {len(self._events)} bad in the last {self.window_s:g} s, "
            f"breached above {self.share:.0%} of at least {self.min_samples}"
        )

    def dump(self) -> dict[str, Any]:
        return {"events": list(self._events), "breached": self.breached}

    def load(self, state: dict[str, Any]) -> None:
        self._events = deque((float(at), bool(bad)) for at, bad in state.get("events", ()))
        self._bad = sum(bad for _, bad in self._events)
        self.breached = bool(state.get("breached", False))
