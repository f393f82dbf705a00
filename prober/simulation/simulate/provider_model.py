"""Generated providers: what a canary that starts at a moment will find. Pure, by its own chance.

Between two changes (a blip or an incident begins or ends) all is drawn from one `_Weather`, so a
request costs two random numbers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

from prober.sample import Outcome

if TYPE_CHECKING:
    from prober.simulation.simulate.scenario import Generated, Outage

# How long a refusal takes, and the rest of an answer after its first text.
ERROR_S = 0.3
REST_S = 0.3
MONTH_S = 30 * 86_400.0
DAY_S = 86_400.0
TAILS = 4
# A drifting median is drawn anew this often.
DRIFT_STEP_S = 600.0

ModelledAnswer = tuple[Outcome, float | None, float | None, float]
"""(outcome, seconds to the first byte, to the first text, in all)."""


class ProviderModel:
    """One provider. Ask in the order of time."""

    def __init__(
        self,
        seed: str,
        generated: Generated,
        incidents: Iterable[Outage],
        first_text_timeout_s: float,
        timeout_s: float,
    ) -> None:
        self._generated = generated
        self._coming = deque(sorted(incidents, key=lambda incident: incident.start_s))
        self._live: list[Outage] = []
        self._first_text_timeout_s = first_text_timeout_s
        self._timeout_s = timeout_s
        chance = Random(seed)
        self._random, self._gauss = chance.random, chance.gauss
        self._blip_chance = Random(f"{seed} blips")
        self._blip = (math.inf, math.inf)
        self._next_blip(0.0)
        self._until_s = -math.inf
        self._error_rate = generated.error_rate
        self._outcome = Outcome.OVERLOADED
        self._hang = False
        self._mu = 0.0
        self._sigma = generated.ttft_sigma
        self._rest_s = REST_S

    def ask(self, at_s: float) -> ModelledAnswer:
        """What a canary finds that starts at `at_s`."""
        if at_s >= self._until_s:
            self._change(at_s)
        if self._random() < self._error_rate:
            if self._hang:
                return Outcome.TIMEOUT_FIRST_TEXT, None, None, self._first_text_timeout_s
            return self._outcome, None, None, ERROR_S
        spread = self._sigma * self._gauss(0.0, 1.0)
        if self._generated.ttft_fat_tails:
            # Scaled to the same standard deviation.
            spread *= math.sqrt((TAILS - 2) / sum(self._gauss(0.0, 1.0) ** 2 for _ in range(TAILS)))
        first_s = math.exp(self._mu + min(spread, 20.0))
        if first_s > self._first_text_timeout_s:
            # Slow, not silent: its first byte did come.
            return Outcome.TIMEOUT_FIRST_TEXT, ERROR_S, None, self._first_text_timeout_s
        total_s = first_s + self._rest_s
        if total_s > self._timeout_s:
            return Outcome.TIMEOUT_TOTAL, first_s, first_s, self._timeout_s
        return Outcome.OK, first_s, first_s, total_s

    def weather(self, at_s: float) -> tuple[float, float]:
        """(share of requests that fail at `at_s`, until when it stays so). In the order of time."""
        if at_s >= self._until_s:
            self._change(at_s)
        return self._error_rate, self._until_s

    def _next_blip(self, after_s: float) -> None:
        blips = self._generated.blips
        if blips.per_month <= 0:
            return
        start_s = after_s + self._blip_chance.expovariate(blips.per_month / MONTH_S)
        self._blip = start_s, start_s + self._blip_chance.uniform(blips.min_s, blips.max_s)

    def _change(self, at_s: float) -> None:
        """Sets the weather at `at_s`, and until when it holds."""
        while self._blip[1] <= at_s:
            self._next_blip(self._blip[1])
        generated = self._generated
        coming = self._coming
        while coming and coming[0].start_s <= at_s:
            self._live.append(coming.popleft())
        live = self._live = [incident for incident in self._live if incident.end_s > at_s]
        turns = [*self._blip, *(incident.end_s for incident in live)]
        if coming:
            turns.append(coming[0].start_s)
        if generated.drift:
            turns.append((at_s // DRIFT_STEP_S + 1) * DRIFT_STEP_S)
        self._until_s = min((turn_s for turn_s in turns if turn_s > at_s), default=math.inf)
        worst = max(live, key=lambda incident: incident.failing, default=None)
        self._error_rate, self._outcome = generated.error_rate, Outcome.OVERLOADED
        self._hang = False
        if worst is not None and worst.failing > self._error_rate:
            self._error_rate, self._outcome = worst.failing, worst.outcome
            self._hang = worst.hang
        if self._blip[0] <= at_s:
            self._error_rate, self._outcome = 1.0, Outcome.OVERLOADED
            self._hang = False
        factor = math.prod(incident.latency_factor for incident in live)
        swing = 1 + generated.drift * math.sin(2 * math.pi * at_s / DAY_S)
        self._mu = math.log(generated.ttft_median_s * factor * swing)
        self._rest_s = REST_S * factor
