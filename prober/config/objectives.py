"""What a good canary is, and how many may be bad: a route's objectives, as numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from prober.config.types import DetectorKind
from prober.sample import Fault, Sample

if TYPE_CHECKING:
    from prober.config.schema import DetectorSettings as DetectorConfig
    from prober.config.schema import Limit, Route

AVAILABILITY_BAD_SHARE = 0.15
LATENCY_BAD_SHARE = 0.5
# Where a tenth may be wrong; docs/detection.md has the figures. A larger allowance moves it up.
QUALITY_BAD_SHARE = 0.3
QUALITY_FACTOR = 2.5
# A median that triples at a wide spread puts few of the canaries past the usual 99th percentile.
RELATIVE_BAD_SHARE = 0.2

# Presets of `fresh`, figures in docs/detection.md: nats that make 95 points at 1 %.
CALM_EVIDENCE = 14.5
CALM_MIN_SPAN_S = 90.0
EAGER_FLOOR = 0.004

# Against "20 good in a row": under a continuing 10 % partial that happens within the hour.
RECOVERED_AT = 65


@dataclass(frozen=True, slots=True)
class Dials:
    """What `Fresh` is tuned by.

    Attributes:
        p0: allowed share of bad events, and the floor of the learned one.
        p1: the share worth a flip.
        evidence: nats of likelihood needed for a breach.
        min_span_s: an unbroken streak of at least this long breaches alone.
        learn_over: base-rate events of the moving share; 0: p0 is not learned.
    """

    p0: float
    p1: float
    evidence: float = 11.0
    min_span_s: float = 45.0
    learn_over: int = 0


class DetectorRule(Protocol):
    """A rule that no `kind` here knows, whole; simulation brings those of other tools."""

    @property
    def recovered_at(self) -> int: ...

    def detector(self, objective: Objective, interval_s: float) -> Any:
        """A new `prober.detection.detector.Detector`."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective of a route.

    Attributes:
        limit_s: longest good time, of ttft and total.
        least: smallest good rate, of tokens_per_s.
        dials: of the `fresh` detector; None for the plain thresholds.
        allowed: what share may be bad.
        usual_share: of a relative limit: what share of the usual times is good.
        retried_bad: of availability: an answer after a retry inside a gateway is bad.
        rule: in place of what `config.kind` names.
    """

    name: str
    config: DetectorConfig
    limit_s: float | None = None
    least: float | None = None
    count_rate_limited: bool = True
    dials: Dials | None = None
    allowed: float = 0.01
    usual_share: float | None = None
    retried_bad: bool = False
    rule: DetectorRule | None = None

    @property
    def recovered_at(self) -> int:
        """The score, of good canaries less the bad ones' cost, that ends a breach."""
        return RECOVERED_AT if self.rule is None else self.rule.recovered_at

    def bad(self, sample: Sample) -> bool | None:
        """True: bad, False: good, None: says nothing about this objective.

        Path failures are bad here; whether they may be counted is for a witness to say.
        """
        match self.name:
            case "availability":
                return self._unavailable(sample)
            case "quality":
                if sample.fault is Fault.QUALITY:
                    return True
                return False if sample.ok else None
            case "tokens_per_s":
                rate = sample.tokens_per_s
                if not sample.ok or rate is None or self.least is None:
                    return None
                return rate < self.least
            case _:
                took_s = self.took_s(sample)
                return None if took_s is None or self.limit_s is None else took_s > self.limit_s

    def took_s(self, sample: Sample) -> float | None:
        """What ttft and total are about; None where the canary did not get so far."""
        if not sample.ok:
            return None
        return sample.phases.first_text_s if self.name == "ttft" else sample.phases.total_s

    def _unavailable(self, sample: Sample) -> bool | None:
        if sample.ok:
            return self.retried_bad and sample.retried > 0
        match sample.fault:
            case Fault.QUALITY:
                return False
            case Fault.PROVIDER | Fault.PATH:
                return True
            case Fault.CAPACITY:
                # Our own faster probing must not make a breach.
                counted = sample.base_rate and self.count_rate_limited
                return True if counted else None
            case _:
                return None


def objectives_of(route: Route) -> tuple[Objective, ...]:
    """The objectives of a route with their detectors' settings filled in."""
    asked = route.objectives
    objectives = [
        Objective(
            "availability",
            route.detector,
            count_rate_limited=route.failover.count_rate_limited,
            dials=_dials(route.detector, asked.availability, AVAILABILITY_BAD_SHARE),
            allowed=_rest(asked.availability),
            retried_bad=asked.retried == "bad",
        )
    ]
    for name in ("ttft", "total", "tokens_per_s"):
        limit: Limit | None = getattr(asked, name)
        if limit is not None:
            config = limit.detector or route.detector
            usual = RELATIVE_BAD_SHARE if limit.relative else LATENCY_BAD_SHARE
            p1 = usual if limit.detector is None else None
            objectives.append(
                Objective(
                    name,
                    config,
                    limit_s=limit.under.total_seconds() if limit.under else None,
                    least=limit.over,
                    dials=_dials(config, limit.share, usual, p1),
                    allowed=_rest(limit.share),
                    usual_share=limit.share if limit.relative else None,
                )
            )
    if asked.quality:
        allowed = _rest(asked.quality)
        dials = _quality_dials(route.detector, allowed)
        objectives.append(Objective("quality", route.detector, dials=dials, allowed=allowed))
    return tuple(objectives)


def _quality_dials(config: DetectorConfig, allowed: float) -> Dials | None:
    """The dials of answers that are wrong: what `allowed` says, whatever the preset's floor."""
    p1 = QUALITY_FACTOR * allowed
    p1 = max(QUALITY_BAD_SHARE, p1 if p1 < 1 else (1 + allowed) / 2)
    dials = _dials(config, 1 - allowed, p1, p1)
    return None if dials is None else replace(dials, p0=allowed)


def _rest(share: float) -> float:
    """1 - share; in binary 1 - 0.9 is a little under 0.1, and one in ten would be too many."""
    return round(1 - share, 12)


def _dials(
    config: DetectorConfig, objective: float, bad_share: float, force: float | None = None
) -> Dials | None:
    """The dials of `fresh`. `force`: the route's flip_bad_share speaks of availability only."""
    p0 = 1 - objective
    # Where nobody says what share is worth a flip, it is at least twice the allowed one.
    usual = max(force or bad_share, min(2 * p0, (1 + p0) / 2))
    p1 = usual if force else config.flip_bad_share or usual
    span_s = config.min_span.total_seconds()
    match config.kind:
        case DetectorKind.FRESH | DetectorKind.NORMAL:
            return Dials(p0, p1, config.evidence, span_s)
        case DetectorKind.CALM:
            return Dials(p0, p1, CALM_EVIDENCE, CALM_MIN_SPAN_S)
        case DetectorKind.EAGER:
            return Dials(min(p0, EAGER_FLOOR), p1, config.evidence, span_s)
        case _:
            return None
