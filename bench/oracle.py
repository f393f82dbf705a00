"""The best that could be done: a CUSUM by the exact likelihood, which knows what is hidden.

It knows the outage's share, the noise, and how often blips come and how long they last. Page 1954;
Moustakides 1986: for a known change no rule detects sooner at the same rate of false alarms.
"""

from __future__ import annotations

import math
from random import Random

from prober.probing.pacing import FastBucket, Purpose

BASE_S, FAST_S = 30.0, 3.0
MONTH_S = 30 * 86_400.0
BLIPS = 20
BLIP_MIN_S, BLIP_MAX_S = 5.0, 45.0


class Oracle:
    """Feed it in order; `nats` of likelihood make an alarm."""

    def __init__(self, share: float, noise: float, nats: float) -> None:
        self.share, self.noise, self.nats = share, noise, nats
        self.evidence = 0.0
        self._blip = 0.0
        self._streak_s = 0.0
        self._last_s = 0.0

    @property
    def alarm(self) -> bool:
        return self.evidence >= self.nats

    def event(self, bad: bool, at_s: float) -> None:
        blip = self._foresee(at_s)
        bad_if_well = blip + (1 - blip) * self.noise
        share = min(self.share, 1 - 1e-9)
        if bad:
            if self._blip == 0.0:
                self._streak_s = at_s
            self.evidence += math.log(share / bad_if_well)
            self._blip = blip / bad_if_well
        else:
            self.evidence += math.log((1 - share) / (1 - bad_if_well))
            self._blip = 0.0
        self.evidence = max(0.0, self.evidence)

    def _foresee(self, at_s: float) -> float:
        """The probability that at `at_s` there is a blip, were all else well."""
        gap_s, self._last_s = at_s - self._last_s, at_s
        mean_s = (BLIP_MIN_S + BLIP_MAX_S) / 2
        fresh = BLIPS / MONTH_S * min(gap_s, mean_s)
        age_s = at_s - self._streak_s
        before = _lasts(age_s - gap_s)
        stays = _lasts(age_s) / before if before > 0 else 0.0
        return max(1e-12, self._blip * stays + (1 - self._blip) * fresh)


def _lasts(age_s: float) -> float:
    """The share of blips that last as long, among lengths even from 5 to 45 s."""
    return min(1.0, max(0.0, (BLIP_MAX_S - age_s) / (BLIP_MAX_S - BLIP_MIN_S)))


def delays_s(share: float, noise: float, nats: float, trials: int, seed: int) -> list[float]:
    """Seconds from the onset to the alarm; at the paces of our own schedule."""
    chance = Random(seed)
    found = []
    for _ in range(trials):
        oracle, at_s = Oracle(share, noise, nats), chance.uniform(0, BASE_S)
        while True:
            oracle.event(chance.random() < share, at_s)
            if oracle.alarm:
                break
            at_s += FAST_S if oracle.evidence > 0 else BASE_S
        found.append(at_s)
    return found


def false_alarms(share: float, noise: float, nats: float, years: float, seed: int) -> int:
    """Alarms in so many years of noise and blips."""
    chance, end_s = Random(seed), years * 365.25 * 86_400
    bucket, oracle, at_s, count = FastBucket(BASE_S), Oracle(share, noise, nats), 0.0, 0
    blip_s = chance.expovariate(BLIPS / MONTH_S)
    blip_end_s = blip_s + chance.uniform(BLIP_MIN_S, BLIP_MAX_S)
    while at_s < end_s:
        while blip_end_s <= at_s:
            blip_s = blip_end_s + chance.expovariate(BLIPS / MONTH_S)
            blip_end_s = blip_s + chance.uniform(BLIP_MIN_S, BLIP_MAX_S)
        oracle.event(blip_s <= at_s or chance.random() < noise, at_s)
        if oracle.alarm:
            count += 1
            oracle = Oracle(share, noise, nats)
        if oracle.evidence > 0:
            bucket.take(Purpose.SUSPICION, at_s)
            at_s += FAST_S if at_s >= bucket.ready_s else 5 * FAST_S
        else:
            at_s += BASE_S
    return count
