"""The grid of dials, what each row costs, the frontier of them, and the row to take. Pure.

Work is counted, not timed, so that the same history gives the same table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prober.config.objectives import CALM_EVIDENCE, CALM_MIN_SPAN_S, Dials, objectives_of
from prober.config.schema import Config, DetectorSettings, Provider, Route, format_duration
from prober.config.types import DetectorKind
from prober.simulation.tune.trial import (
    Canaries,
    Passage,
    Reached,
    outage,
    plain_alarms,
    plain_outage,
    suspicions,
)

if TYPE_CHECKING:
    from prober.simulation.tune.profile import Profile

YEAR_S = 365.25 * 86_400.0
BAD_SHARES = (0.10, 0.15, 0.25)
EVIDENCES = (7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, CALM_EVIDENCE)
MIN_SPANS_S = (30.0, 45.0, 60.0, CALM_MIN_SPAN_S)
# Share of the requests that fail -> how long a rule has to notice, in seconds.
OUTAGES = {1.0: 900.0, 0.3: 2_400.0, 0.1: 7_200.0}
FRESH = frozenset({DetectorKind.FRESH, DetectorKind.NORMAL, DetectorKind.CALM, DetectorKind.EAGER})
# What differs by less is the same for all that chance lets one see.
SAME = 1.03


@dataclass(frozen=True, slots=True)
class Setting:
    """One row's dials. `detector` is what stands in the file for it."""

    detector: DetectorSettings
    names: tuple[str, ...] = ()

    @property
    def toml(self) -> str:
        """The lines to paste into the route's detector table."""
        detector = self.detector
        lines = [f'kind = "{detector.kind.value}"']
        if detector.flip_bad_share is not None:
            lines.append(f"flip_bad_share = {detector.flip_bad_share:g}")
        if detector.kind in (DetectorKind.FRESH, DetectorKind.NORMAL, DetectorKind.EAGER):
            lines += [
                f"evidence = {detector.evidence:g}",
                f'min_span = "{format_duration(detector.min_span)}"',
            ]
        if not detector.learn:
            lines.append("learn = false")
        return "\n".join(["[route.detector]", *lines])


@dataclass(frozen=True, slots=True)
class SettingCost:
    """What a setting costs.

    Attributes:
        false: breaches behind which there was nothing, in `years` provider-years.
        detected_s: share of an outage -> mean seconds; one that was missed counts as its limit.
        missed: the same -> share that was never found.
    """

    setting: Setting
    false: int
    years: float
    detected_s: dict[float, float]
    missed: dict[float, float]

    @property
    def rate(self) -> float:
        return self.false / self.years

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the rate."""
        low, high = poisson_interval(self.false)
        return low / self.years, high / self.years

    @property
    def score_s(self) -> float:
        """The geometric mean over the outages: a tenth off any of them weighs the same."""
        logs = [math.log(seconds) for seconds in self.detected_s.values()]
        return math.exp(sum(logs) / len(logs))

    def plain(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "names": list(self.setting.names),
            "detector": self.setting.detector.model_dump(mode="json", exclude_none=True),
            "false_flips_a_year": self.rate,
            "false_flips_interval": [low, high],
            "provider_years": self.years,
            "detected_s": {f"{share:g}": s for share, s in self.detected_s.items()},
            "missed": {f"{share:g}": part for share, part in self.missed.items()},
        }


def poisson_interval(count: int) -> tuple[float, float]:
    """The exact 95 % interval of a Poisson mean (Garwood 1936), by bisection."""
    low = _mean_at(count - 1, 0.975) if count else 0.0
    return low, _mean_at(count, 0.025)


def _mean_at(count: int, share: float) -> float:
    """The mean at which at most `count` events come with probability `share`."""
    below, above = 0.0, 2.0 * count + 20.0
    for _ in range(80):
        mean = (below + above) / 2
        logs = (k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1))
        if math.fsum(map(math.exp, logs)) > share:
            below = mean
        else:
            above = mean
    return (below + above) / 2


# -- the rows ------------------------------------------------------------------------------------


def settings(route: Route) -> list[Setting]:
    """The grid around what is in force; the presets and what is in force have their names."""
    now = route.detector
    plain = DetectorSettings(learn=now.learn)
    shares = sorted({*BAD_SHARES, *([now.flip_bad_share] if now.flip_bad_share else [])})
    evidences, spans_s = EVIDENCES, MIN_SPANS_S
    detectors = [
        plain.model_copy(
            update={
                "kind": kind,
                "flip_bad_share": share,
                "evidence": evidence,
                "min_span": timedelta(seconds=span_s),
            }
        )
        for kind, among in (
            (DetectorKind.FRESH, shares),
            (DetectorKind.EAGER, [now.flip_bad_share]),
        )
        for share in among
        for evidence in evidences
        for span_s in spans_s
    ]
    keep = plain.model_copy(update={"flip_bad_share": now.flip_bad_share})
    presets = {
        kind.value: keep.model_copy(update={"kind": kind})
        for kind in (DetectorKind.CALM, DetectorKind.NORMAL, DetectorKind.EAGER)
    }
    named = [*presets.items(), ("in force", now)]
    taken = [_key(route, detector) for _, detector in named]
    rows = [Setting(detector) for detector in detectors if _key(route, detector) not in taken]
    for key in dict.fromkeys(taken):
        same = [n for n, k in enumerate(taken) if k == key]
        # What is in force is written as it stands in the file.
        rows.append(Setting(named[same[-1]][1], tuple(named[n][0] for n in same)))
    return [row for row in rows if _sane(_dials(route, row.detector))]


def _key(route: Route, detector: DetectorSettings) -> Any:
    return _dials(route, detector) or detector


def _dials(route: Route, detector: DetectorSettings) -> Dials | None:
    with_it = route.model_copy(update={"detector": detector})
    dials = objectives_of(with_it)[0].dials
    return replace(dials, learn_over=int(detector.learn)) if dials is not None else None


def _sane(dials: Dials | None) -> bool:
    return dials is None or dials.p0 <= dials.p1 / 2


@dataclass(frozen=True, slots=True)
class Job:
    """A part of the work, the same wherever it is done.

    Attributes:
        dials: None for a detector of another kind than fresh, which `route` then names.
        share: of an outage; 0: none, so many `size` years of noise; else `size` trials.
    """

    dials: Dials | None
    route: Route
    profile: Profile
    canaries: Canaries
    share: float
    size: float
    seed: int
    evidences: tuple[float, ...] = ()
    spans_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class OnTrial:
    job: Job
    reached: list[Reached] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    alarms: int = 0
    plain_s: list[float] = field(default_factory=list)


def work(job: Job) -> OnTrial:
    """Does it."""
    generated, canaries = job.profile.generated, job.canaries
    seed = f"{job.seed} {job.profile.provider} {job.share:g}"
    limit_s = OUTAGES.get(job.share, 0.0)
    trials = range(int(job.size))
    if job.dials is None:
        if not job.share:
            alarms = plain_alarms(job.route, generated, canaries, job.size * YEAR_S, seed)
            return OnTrial(job, alarms=alarms)
        delays = [
            plain_outage(job.route, generated, canaries, job.share, limit_s, f"{seed} {number}")
            for number in trials
        ]
        return OnTrial(job, plain_s=delays)
    if not job.share:
        reached = suspicions(job.dials, generated, canaries, job.size * YEAR_S, seed)
        return OnTrial(job, reached=reached)
    return OnTrial(
        job,
        passages=[
            outage(
                job.dials, generated, canaries, job.share, job.evidences, job.spans_s, limit_s,
                f"{seed} {number}",
            )
            for number in trials
        ],
    )  # fmt: skip


def canaries_of(provider: Provider) -> Canaries:
    canary = provider.canary
    return Canaries(
        canary.interval.total_seconds(),
        canary.suspect_interval.total_seconds(),
        canary.first_text_timeout.total_seconds(),
        canary.timeout.total_seconds(),
    )


CHUNK_YEARS = 1.0
_Family = tuple[float, float, int]


def _family(dials: Dials) -> _Family:
    """Settings of one family differ in nothing that a run depends on."""
    return dials.p0, dials.p1, dials.learn_over


def jobs(
    config: Config,
    route: Route,
    rows: Sequence[Setting],
    profiles: Sequence[Profile],
    years: float,
    trials: int,
) -> list[Job]:
    """All the work. `years` and `trials`: of each family of settings, over all providers."""
    families: dict[_Family | None, list[Dials]] = {}
    for row in rows:
        dials = _dials(route, row.detector)
        families.setdefault(None if dials is None else _family(dials), []).append(
            dials or Dials(0.01, 0.15)
        )
    chunks = max(1, math.ceil(years / len(profiles) / CHUNK_YEARS))
    made: list[Job] = []
    for family, members in families.items():
        evidences = tuple(sorted({dials.evidence for dials in members}))
        spans_s = tuple(sorted({dials.min_span_s for dials in members}))
        for profile in profiles:
            provider = config.find_provider(profile.provider)
            assert provider is not None
            canaries = canaries_of(provider)
            dials = None
            if family is not None:
                over = int(7 * 86_400 / canaries.interval_s) if family[2] else 0
                dials = replace(members[0], learn_over=over)
            size = years / len(profiles) / chunks
            made += [
                Job(dials, route, profile, canaries, 0.0, size, seed) for seed in range(chunks)
            ]
            made += [
                Job(dials, route, profile, canaries, share, math.ceil(trials / len(profiles)), 7,
                    evidences, spans_s)
                for share in OUTAGES
            ]  # fmt: skip
    return sorted(made, key=lambda job: job.share)


def rows_of(route: Route, rows: Sequence[Setting], done: Sequence[OnTrial]) -> list[SettingCost]:
    """The figures of every setting, out of all the work."""
    parts: dict[_Family | None, list[OnTrial]] = {}
    for part in done:
        dials = part.job.dials
        key = None if dials is None else (dials.p0, dials.p1, int(dials.learn_over > 0))
        parts.setdefault(key, []).append(part)
    return [_row(row, dials, parts[None if dials is None else _family(dials)])
            for row in rows for dials in [_dials(route, row.detector)]]  # fmt: skip


def _row(setting: Setting, dials: Dials | None, done: Sequence[OnTrial]) -> SettingCost:
    noise = [part for part in done if not part.job.share]
    years = sum(part.job.size for part in noise)
    delays: dict[float, list[float]] = {share: [] for share in OUTAGES}
    for part in done:
        if not part.job.share:
            continue
        if dials is None:
            delays[part.job.share] += part.plain_s
        else:
            delays[part.job.share] += [
                passage.detected_s(dials.evidence, dials.min_span_s) for passage in part.passages
            ]
    if dials is None:
        false = sum(part.alarms for part in noise)
    else:
        false = sum(
            one.nats >= dials.evidence - 1e-9 or one.span_s >= dials.min_span_s
            for part in noise
            for one in part.reached
        )
    return SettingCost(
        setting,
        false,
        years,
        {s: sum(min(d, OUTAGES[s]) for d in waits) / len(waits) for s, waits in delays.items()},
        {s: sum(d == math.inf for d in waits) / len(waits) for s, waits in delays.items()},
    )


# -- the choice ----------------------------------------------------------------------------------


def frontier(rows: Sequence[SettingCost]) -> list[SettingCost]:
    """Rows that no other beats in both false flips and delay; the calmest first."""
    best, chosen = math.inf, []
    for row in sorted(rows, key=lambda row: (row.rate, row.score_s, row.setting.toml)):
        if row.score_s < best:
            best = row.score_s
            chosen.append(row)
    return chosen


def recommended(rows: Sequence[SettingCost], at_most: float) -> SettingCost:
    """The soonest of those that are surely calm enough; else the calmest.

    What is in force stays where nothing is better by more than chance shows.
    """
    calm = [row for row in rows if row.interval[1] <= at_most]
    if not calm:
        return min(rows, key=lambda row: (row.rate, row.score_s, row.setting.toml))
    best = min(calm, key=lambda row: (row.score_s, row.rate, row.setting.toml))
    stays = (row for row in calm if "in force" in row.setting.names)
    return next((row for row in stays if row.score_s <= SAME * best.score_s), best)


def nearest_preset(row: SettingCost, rows: Sequence[SettingCost]) -> str:
    """The preset that behaves most like it."""
    presets = [r for r in rows if any(name in FRESH for name in r.setting.names)]

    def apart(other: SettingCost) -> float:
        slack = 0.5 / row.years
        noise = math.log((other.rate + slack) / (row.rate + slack))
        return abs(math.log(other.score_s / row.score_s)) + 0.1 * abs(noise)

    near = min(presets, key=apart, default=None)
    return "" if near is None else next(n for n in near.setting.names if n in FRESH)
