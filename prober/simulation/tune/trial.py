"""One provider alone in virtual time: the simulator's provider, the true detector and pace. Pure.

How much evidence a suspicion gathers does not depend on how much would be a breach. So one run,
in which nothing is ever enough, tells for every threshold how often and when it would have been
reached; the same holds for the span of an unbroken streak.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from prober.config.objectives import Dials
from prober.detection.detector import STREAK_COUNTS, Detector, Fresh
from prober.detection.evidence import detector_of
from prober.probing.pacing import Need, Purpose, Rhythm
from prober.sample import Outcome
from prober.simulation.other_tools import objectives_of
from prober.simulation.simulate.provider_model import ProviderModel
from prober.simulation.simulate.scenario import Generated, Outage

if TYPE_CHECKING:
    from prober.config.schema import Route

# Nobody reaches this.
ENDLESS = 1e6
# What weighs less is never a threshold, and need not be kept.
LEAST_NATS, LEAST_SPAN_S = 4.0, 10.0
# After a breach that was none: about how long a recovery takes.
RECOVERY_S = 240.0


@dataclass(frozen=True, slots=True)
class Canaries:
    """How a provider is probed, in seconds."""

    interval_s: float
    suspect_interval_s: float
    first_text_timeout_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Reached:
    """The most that one suspicion came to: nats of evidence, and seconds of unbroken streak."""

    nats: float
    span_s: float


@dataclass(frozen=True, slots=True)
class Passage:
    """When an outage was found: threshold -> seconds from its onset, for those that were."""

    nats: dict[float, float]
    span_s: dict[float, float]

    def detected_s(self, evidence: float, min_span_s: float) -> float:
        """Infinite: never."""
        waits = self.nats.get(evidence, math.inf), self.span_s.get(min_span_s, math.inf)
        return min(waits)


_Step = tuple[float, float, bool, bool]
"""(started_s, ended_s, bad, whether nothing is suspected after it)."""


def _steps(
    detector: Detector, world: ProviderModel, canaries: Canaries, at_s: float
) -> Iterator[_Step]:
    """Canaries one after the other, at the pace that the detector's level asks for."""
    interval_s = canaries.interval_s
    rhythm = Rhythm(interval_s, canaries.suspect_interval_s, at_s)
    base_s, since_s = -math.inf, math.inf
    purpose = Purpose.BASE
    event, ask = detector.event, world.ask
    while True:
        reply = ask(at_s)
        bad, ended_s = reply[0] is not Outcome.OK, at_s + reply[3]
        base_rate = purpose is Purpose.BASE or at_s - base_s >= interval_s
        if base_rate:
            base_s = at_s
        event(bad, at_s, ended_s, base_rate)
        calm = detector.level == 0
        yield at_s, ended_s, bad, calm
        if calm:
            purpose, since_s = Purpose.BASE, math.inf
            at_s += interval_s
            continue
        since_s = min(since_s, ended_s)
        rhythm.launched(purpose, at_s)
        rhythm.landed()
        rhythm.adjust((Need(suspect_for_s=ended_s - since_s),), ended_s)
        purpose = rhythm.pace.purpose
        at_s += rhythm.pace.interval_s


def _endless(dials: Dials, noise: float) -> Fresh:
    """A detector that has known the provider for a week, and is never satisfied."""
    detector = Fresh(Dials(dials.p0, dials.p1, ENDLESS, math.inf, dials.learn_over))
    if dials.learn_over:
        detector.load({"learned": noise})
    return detector


def _world(
    generated: Generated, incidents: Sequence[Outage], seed: str, c: Canaries
) -> ProviderModel:
    return ProviderModel(seed, generated, incidents, c.first_text_timeout_s, c.timeout_s)


def suspicions(
    dials: Dials, generated: Generated, canaries: Canaries, years_s: float, seed: str
) -> list[Reached]:
    """What the suspicions of so many seconds come to while there is nothing but noise."""
    detector = _endless(dials, generated.error_rate)
    rises: list[Reached] = []
    most = span_s = streak_s = 0.0
    streak = 0
    for at_s, ended_s, bad, calm in _steps(
        detector, _world(generated, (), seed, canaries), canaries, 0.0
    ):
        if bad:
            streak += 1
            if streak == 1:
                streak_s = at_s
            elif streak >= STREAK_COUNTS:
                span_s = max(span_s, ended_s - streak_s)
            most = max(most, detector.points)
        else:
            streak = 0
        if calm:
            if most:
                nats = most / detector.threshold * ENDLESS
                if nats >= LEAST_NATS or span_s >= LEAST_SPAN_S:
                    rises.append(Reached(nats, span_s))
                most = span_s = 0.0
            if at_s >= years_s:
                return rises
    raise AssertionError("steps never end")


def outage(
    dials: Dials,
    generated: Generated,
    canaries: Canaries,
    share: float,
    evidences: Sequence[float],
    spans_s: Sequence[float],
    limit_s: float,
    seed: str,
) -> Passage:
    """One outage, of `share` of the requests, from second 0; given up at `limit_s`."""
    detector = _endless(dials, generated.error_rate)
    nats: dict[float, float] = {}
    spans: dict[float, float] = {}
    streak, streak_s = 0, 0.0
    for at_s, ended_s, bad, _ in _injected(detector, generated, canaries, share, limit_s, seed):
        if at_s >= limit_s or (len(nats) == len(evidences) and len(spans) == len(spans_s)):
            break
        if not bad:
            streak = 0
            continue
        streak += 1
        if streak == 1:
            streak_s = at_s
        now = detector.points / detector.threshold * ENDLESS
        for evidence in evidences:
            # The same comparison as the detector's, but for rounding.
            if now >= evidence - 1e-9:
                nats.setdefault(evidence, ended_s)
        for span_s in spans_s:
            if streak >= STREAK_COUNTS and ended_s - streak_s >= span_s:
                spans.setdefault(span_s, ended_s)
    return Passage(nats, spans)


def _injected(
    detector: Detector,
    generated: Generated,
    canaries: Canaries,
    share: float,
    limit_s: float,
    seed: str,
) -> Iterator[_Step]:
    incident = Outage(provider="x", start_s=0.0, end_s=limit_s, error_rate=share)
    # Chance decides how long after the onset the next canary is due.
    first_s = Random(f"{seed} phase").uniform(0, canaries.interval_s)
    world = _world(generated.model_copy(update={"blips": NO_BLIPS}), (incident,), seed, canaries)
    return _steps(detector, world, canaries, first_s)


NO_BLIPS = Generated().blips


def plain_alarms(
    route: Route, generated: Generated, canaries: Canaries, years_s: float, seed: str
) -> int:
    """The same for a detector of another kind: its own alarms, each followed by a recovery."""
    detector = detector_of(objectives_of(route)[0], canaries.interval_s)
    count, quiet_s = 0, -math.inf
    for _, ended_s, _, _ in _steps(detector, _world(generated, (), seed, canaries), canaries, 0.0):
        if detector.breached:
            count += ended_s >= quiet_s
            quiet_s = ended_s + RECOVERY_S
            detector.reset()
        if ended_s >= years_s:
            return count
    raise AssertionError("steps never end")


def plain_outage(
    route: Route, generated: Generated, canaries: Canaries, share: float, limit_s: float, seed: str
) -> float:
    """Seconds to the breach; infinite: never."""
    detector = detector_of(objectives_of(route)[0], canaries.interval_s)
    for at_s, ended_s, _, _ in _injected(detector, generated, canaries, share, limit_s, seed):
        if at_s >= limit_s:
            return math.inf
        if detector.breached:
            return ended_s
    raise AssertionError("steps never end")
