"""The rules of other tools, whole: when they breach, and when they are over it. Pure.

They are here to be compared with ours by `prober backtest`, `prober simulate` and
`make bench-detect`; the daemon's own configuration refuses them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from prober.config import objectives
from prober.config.types import DetectorKind
from prober.detection.detector import Detector, KOfN, WindowShare

if TYPE_CHECKING:
    from prober.config.objectives import Objective
    from prober.config.schema import Route


@dataclass(frozen=True, slots=True)
class OtherRule:
    """One whole rule.

    Attributes:
        make: its detector, for canaries every so many seconds.
        recovered_at: how many good canaries in a row it asks for.
    """

    make: Callable[[Objective, float], Detector]
    recovered_at: int

    def detector(self, objective: Objective, interval_s: float) -> Detector:
        return self.make(objective, interval_s)


def objectives_of(route: Route) -> tuple[Objective, ...]:
    """The objectives of a route whose `kind` may be another tool's."""
    return tuple(replace(o, rule=RULES.get(o.config.kind)) for o in objectives.objectives_of(route))


class Burn:
    """The error budget burns `rate` times too fast, over an hour and over five minutes.

    Multi-window burn rate, The Site Reliability Workbook, chapter 5.
    """

    __slots__ = ("_long", "_short", "breached", "rate")

    def __init__(
        self, allowed: float, rate: float, long_s: float, short_s: float, min_samples: int
    ) -> None:
        self.rate = rate
        self.breached = False
        share = min(0.99, rate * allowed)
        self._long = WindowShare(share, long_s, min_samples)
        self._short = WindowShare(share, short_s, 1)

    @property
    def level(self) -> float:
        return 1.0 if self.breached else min(self._long.level, self._short.level)

    def event(self, bad: bool, started_s: float, ended_s: float, base_rate: bool) -> None:
        for window in (self._long, self._short):
            window.breached = False
            window.event(bad, started_s, ended_s, base_rate)
        if self._long.breached and self._short.breached:
            self.breached = True

    def reset(self) -> None:
        self._long.reset()
        self._short.reset()
        self.breached = False

    def explain(self) -> str:
        return f"{self._long.explain()} ({self.rate:g} times what is allowed)"

    def dump(self) -> dict[str, Any]:
        return {
            "long": self._long.dump(), "short": self._short.dump(), "breached": self.breached
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        self._long.load(state.get("long", {}))
        self._short.load(state.get("short", {}))
        self.breached = bool(state.get("breached", False))


def _three_in_a_row(_: Objective, interval_s: float) -> Detector:
    return KOfN(3, 3)


def _for_five_minutes(_: Objective, interval_s: float) -> Detector:
    # Every canary of five minutes, both ends included.
    count = round(300 / interval_s) + 1
    return KOfN(count, count)


def _half_of_a_minute(_: Objective, interval_s: float) -> Detector:
    return WindowShare(0.5, 60.0, 5)


def _burn(objective: Objective, interval_s: float) -> Detector:
    # An hour of which the half was never seen says nothing about an hour.
    return Burn(objective.allowed, 14.4, 3_600.0, 300.0, round(1_800 / interval_s))


RULES = {
    DetectorKind.CONSECUTIVE_3: OtherRule(_three_in_a_row, recovered_at=2),
    DetectorKind.FOR_5M: OtherRule(_for_five_minutes, recovered_at=1),
    DetectorKind.HALF_OF_MINUTE: OtherRule(_half_of_a_minute, recovered_at=1),
    DetectorKind.BURN: OtherRule(_burn, recovered_at=10),
}
