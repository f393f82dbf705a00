"""What is slow for this provider: a limit that follows its own ordinary latency. Pure, O(1).

The raw rolling 99th percentile is of no use: a drift of the median that nobody minds moves every
canary past it. So the limit is 1.1 times the 99th percentile of what is left over a 30-minute
moving average of the logarithm. That average may not wander further than a factor of 1.35 from a
week's, so a slow brownout is not taken for the new normal. The figures are in docs/detection.md.
"""

from __future__ import annotations

import math
from typing import Any

MARGIN = math.log(1.1)
HELD = math.log(1.35)
AVERAGE_S = 1_800.0
WEEK_S = 7 * 86_400.0
# Fewer say nothing about a 99th percentile.
LEAST = 300
# Residuals are counted in bins; those past the last are counted in it.
BIN = 0.02
BINS = 200
REFRESH = 64


class Baseline:
    """The moving limit of one objective of one provider.

    Args:
        share: the quantile of residuals the limit is set by, like 0.99.
        interval_s: between canaries at the base rate; only those teach.

    Attributes:
        limit_s: what is slow; infinite until `LEAST` canaries have taught.
    """

    __slots__ = (
        "_anchor",
        "_average",
        "_bins",
        "_count",
        "_growth",
        "_reach",
        "_share",
        "_slow_weight",
        "_total",
        "_unit",
        "_weight",
        "limit_s",
    )  # fmt: skip

    def __init__(self, share: float, interval_s: float) -> None:
        self._share = share
        self._weight = 1 - math.exp(-interval_s / AVERAGE_S)
        self._slow_weight = interval_s / WEEK_S
        # Newer canaries weigh more instead of older ones less: one number to change, not all.
        self._growth = math.exp(self._slow_weight)
        self._count = 0
        self._average = self._anchor = 0.0
        self._reach = 1.0
        self._bins = [0.0] * BINS
        self._total, self._unit = 0.0, 1.0
        self.limit_s = math.inf

    @property
    def ready(self) -> bool:
        return self._count >= LEAST

    def learn(self, took_s: float) -> None:
        """One canary at the base rate, sent while nothing was suspected; slow ones teach too."""
        log_s = math.log(max(took_s, 1e-6))
        count = self._count = self._count + 1
        if count == 1:
            self._average = self._anchor = log_s
        residual = log_s - self._average
        self._total += self._unit
        if residual > 0:
            self._bins[min(int(residual / BIN), BINS - 1)] += self._unit
        self._unit *= self._growth
        if count % REFRESH == 0 or count == LEAST:
            self._measure()
        reach = self._reach
        clipped = min(max(residual, -reach), reach)
        apart = min(max(log_s - self._anchor, -reach), reach)
        self._anchor += max(self._slow_weight, 1 / count) * apart
        average = self._average + max(self._weight, 1 / count) * clipped
        self._average = min(max(average, self._anchor - HELD), self._anchor + HELD)
        if count >= LEAST:
            self.limit_s = math.exp(self._average + reach + MARGIN)

    def _measure(self) -> None:
        """Finds the quantile, within its bin by proportion."""
        if self._unit > 1e100:
            self._bins = [weight / self._unit for weight in self._bins]
            self._total, self._unit = self._total / self._unit, 1.0
        left = (1 - self._share) * self._total
        for number in range(BINS - 1, -1, -1):
            weight = self._bins[number]
            if weight > left:
                self._reach = BIN * (number + 1 - left / weight)
                return
            left -= weight
        self._reach = BIN

    def dump(self) -> dict[str, Any]:
        return {
            "count": self._count,
            "average": self._average,
            "anchor": self._anchor,
            "reach": self._reach,
            "total": self._total / self._unit,
            "bins": {
                str(number): weight / self._unit
                for number, weight in enumerate(self._bins)
                if weight
            },
        }

    def load(self, state: dict[str, Any]) -> None:
        self._count = int(state["count"])
        self._average, self._anchor = float(state["average"]), float(state["anchor"])
        self._reach = float(state["reach"])
        self._total, self._unit = float(state["total"]), 1.0
        self._bins = [0.0] * BINS
        for number, weight in state["bins"].items():
            self._bins[int(number)] = float(weight)
        self.limit_s = math.inf
        if self._count >= LEAST:
            self.limit_s = math.exp(self._average + self._reach + MARGIN)
