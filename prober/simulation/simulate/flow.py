"""The requests of applications to one generated provider, and what they report of it.

While nothing counts against the provider only seconds with a failure are played: failures come
as a Poisson process, so the next one is drawn at once, and what went well meanwhile is summed up.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.detection.report_evidence import ReportEvidence
    from prober.detection.tracker import Tracker
    from prober.simulation.simulate.provider_model import ProviderModel
    from prober.simulation.simulate.scenario import Generated

STEP_S = 1.0
LONGEST_SKIP_S = 86_400.0


class Flow:
    """The reports of each process, one a second, to a route's tracker.

    Args:
        world: of its own, with the weather of the canaries' one.

    Attributes:
        next_s: when reports come next; infinity while nobody calls the provider.
    """

    __slots__ = (
        "_before",
        "_chance",
        "_first",
        "_names",
        "_rps",
        "_traffic",
        "_world",
        "next_s",
        "tracker",
    )  # fmt: skip

    def __init__(
        self,
        seed: str,
        generated: Generated,
        world: ProviderModel,
        tracker: Tracker,
        traffic: ReportEvidence,
    ) -> None:
        self._chance = Random(f"{seed} traffic")
        self._rps = generated.traffic_rps
        self._names = [f"p{number}" for number in range(generated.processes)]
        self._world = world
        self._traffic = traffic
        self.tracker = tracker
        # What share failed in the second before, and where the coming one's first failure lies.
        self._before = 0.0
        self._first: float | None = None
        self.next_s = math.inf

    def begin(self, at_s: float) -> None:
        """Applications have turned to the provider."""
        self._before = self._world.weather(at_s)[0]
        self._first = None
        self.next_s = at_s + STEP_S

    def end(self) -> None:
        """They have turned away."""
        self.next_s = math.inf

    def step(self, *, heard: bool = True) -> None:
        """Reports what happened in the second before `next_s`, and sets the next one.

        `heard`: somebody listens; inside a maintenance window nobody does.
        """
        at_s, chance = self.next_s, self._chance
        share = self._share(at_s)
        rate = self._rps / len(self._names)
        first, self._first = self._first, None
        unlucky = -1 if first is None else chance.randrange(len(self._names))
        left = 1.0 if first is None else 1.0 - first
        for number, name in enumerate(self._names):
            # Processes send at moments of their own: a change lies in a window of each.
            phase = number / len(self._names)
            mixed = phase * self._before + (1 - phase) * share
            bad = self._poisson(rate * mixed * left) + (number == unlucky)
            good = self._poisson(rate * (1 - mixed))
            if heard and (good or bad):
                self.tracker.reported(name, good, bad, at_s)
        steady, self._before = self._before == share, share
        self.next_s = at_s + STEP_S
        if steady and self._traffic.resting:
            self._skip(at_s, share)

    def _skip(self, at_s: float, share: float) -> None:
        """To the next second in which something fails, or in which the weather changes."""
        now, until_s = self._world.weather(at_s)
        if now != share:
            return
        calm_s = min(until_s - at_s, LONGEST_SKIP_S)
        wait_s = self._chance.expovariate(self._rps * share) if share else math.inf
        whole_s = math.floor(min(wait_s, calm_s) / STEP_S) * STEP_S
        if whole_s > 0:
            self._traffic.passed(whole_s)
        if wait_s < calm_s:
            self._first = wait_s - whole_s
        self.next_s = at_s + whole_s + STEP_S

    def _share(self, at_s: float) -> float:
        """Of the requests in the second before `at_s`: how many fail."""
        from_s = at_s - STEP_S
        share, until_s = self._world.weather(from_s)
        whole = 0.0
        while until_s < at_s:
            whole += share * (until_s - from_s)
            from_s = until_s
            share, until_s = self._world.weather(from_s)
        return whole + share * (at_s - from_s) if whole or from_s > at_s - STEP_S else share

    def _poisson(self, mean: float) -> int:
        if mean <= 0:
            return 0
        if mean > 30:
            return max(0, round(self._chance.gauss(mean, math.sqrt(mean))))
        limit, number, product = math.exp(-mean), 0, self._chance.random()
        while product > limit:
            number += 1
            product *= self._chance.random()
        return number
