"""A provider as its record shows it: noise and latency on an ordinary day. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prober.sample import FAULT, Fault, Outcome
from prober.simulation.backtest.truth import WINDOW_S, Announced, RecordedIncident
from prober.simulation.simulate.scenario import Blips, Generated

if TYPE_CHECKING:
    from prober.history.store.queries import Taken

# Fewer canaries at the base rate (a day's worth, less a little) say nothing about noise.
LEAST = 2_000
# The record shows few of them, because most begin and end between two canaries.
BLIPS = Blips(per_month=20, min_s=5, max_s=45)
# Latencies are counted in bins of one percent.
BIN = 0.01


@dataclass(frozen=True, slots=True)
class Profile:
    """Attributes:
    canaries: at the base rate, outside incidents; `recorded`: enough to go by.
    """

    provider: str
    canaries: int
    recorded: bool
    generated: Generated


class Recorder:
    """Feed it batches in the order of time, then ask for `profile`."""

    def __init__(self, announced: Announced) -> None:
        self._announced = announced
        # provider -> window -> [canaries, fresh failures], at the base rate.
        self._windows: dict[str, dict[int, list[int]]] = {}
        self._times: dict[str, Counter[int]] = {}
        self._failed: dict[str, bool] = {}

    def feed(self, batch: Sequence[Taken]) -> None:
        for taken in self._announced.left_out(batch):
            name = taken.provider
            ok = taken.outcome == Outcome.OK.value
            failed = not ok and FAULT[Outcome(taken.outcome)] in (Fault.PROVIDER, Fault.CAPACITY)
            if taken.base_rate:
                windows = self._windows.setdefault(name, {})
                counts = windows.setdefault(int(taken.started_at // WINDOW_S), [0, 0])
                counts[0] += 1
                # What follows a failure directly is a blip's, or an outage's.
                counts[1] += failed and not self._failed.get(name, False)
            self._failed[name] = failed
            if ok and taken.first_text_s:
                times = self._times.setdefault(name, Counter())
                times[round(math.log(taken.first_text_s) / BIN)] += 1

    def profile(self, provider: str, incidents: Sequence[RecordedIncident]) -> Profile:
        """Ordinary days alone: windows that touch an incident are left out."""
        out = {
            index
            for past in incidents
            if past.provider == provider
            for index in range(int(past.start // WINDOW_S), int(past.end // WINDOW_S) + 1)
        }
        kept = [c for index, c in self._windows.get(provider, {}).items() if index not in out]
        count, fresh = sum(c[0] for c in kept), sum(c[1] for c in kept)
        if count < LEAST:
            return Profile(provider, count, False, Generated(blips=BLIPS))
        times = self._times.get(provider, Counter())
        low, middle, high = (_quantile(times, share) for share in (0.1587, 0.5, 0.8413))
        generated = Generated(
            error_rate=fresh / count,
            ttft_median_s=math.exp(middle),
            ttft_sigma=min(5.0, (high - low) / 2),
            blips=BLIPS,
        )
        return Profile(provider, count, True, generated)


def _quantile(times: Counter[int], share: float) -> float:
    """Of logarithms; 0 where there are none."""
    left = share * times.total()
    for number in sorted(times):
        left -= times[number]
        if left <= 0:
            return number * BIN
    return 0.0
