"""`python -m bench.detect`: how soon each rule finds an outage, and how often it cries wolf.

All figures but the oracle's come from `prober simulate` itself: the true schedule, detectors and
decisions, in virtual time, with fixed seeds. Others' rules probe at their base rate throughout,
as their makers do; half-of-minute every 10 s, or it would never have its five samples. `traffic`
is `normal` with four processes that report five requests a second between them; a year of its
noise takes minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from random import Random
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import oracle
from prober.config.defaults import fill_in
from prober.config.schema import Config
from prober.simulation.simulate.engine import simulate
from prober.simulation.simulate.report import YEAR_S
from prober.simulation.simulate.scenario import Scenario

OURS = ("calm", "normal", "eager")
PEERS = ("consecutive-3", "for-5m", "half-of-minute", "burn-14.4")
ORACLE = "oracle"
ORACLE_NATS = 12.0
RELATIVE = "relative ttft"
# `normal`, with applications that report what they see.
TRAFFIC = "traffic"
CALLS = {"traffic_rps": 5.0, "processes": 4}

# What happens, and how long a rule has to notice.
OUTAGES: dict[str, tuple[dict[str, Any], float]] = {
    "hard": ({}, 900.0),
    "hang": ({"hang": True}, 900.0),
    "50 %": ({"error_rate": 0.5}, 1_800.0),
    "30 %": ({"error_rate": 0.3}, 2_400.0),
    "10 %": ({"error_rate": 0.1}, 7_200.0),
}
SHARES = {"hard": 1.0, "50 %": 0.5, "30 %": 0.3, "10 %": 0.1}
BROWNOUTS = {"×3, σ .4": 0.4, "×3, σ .8": 0.8}
BROWNOUT: tuple[dict[str, Any], float] = ({"latency_factor": 3.0}, 2_400.0)
NOISES = {"0.2 %": 0.002, "1 %": 0.01, "2 %": 0.02}
BLIPS = {"per_month": 20, "min_s": 5, "max_s": 45}
DRIFT = 0.15
# Past the six hours after which a breach is no relapse any more.
APART_S = 8 * 3_600.0
CHUNK_YEARS = 2.5


@dataclass(frozen=True, slots=True)
class Job:
    """One cell of a table, or a part of it."""

    what: str
    rule: str
    case: str
    size: float
    seed: int


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it: delays of trials, or false flips in so many years."""

    job: Job
    detected_s: tuple[float, ...] = ()
    flipped_s: tuple[float, ...] = ()
    trials: int = 0
    false: int = 0
    years: float = 0.0


def config(rule: str) -> Config:
    """One route, `a` before `b`, under the rule."""
    interval = "10s" if rule == "half-of-minute" else "30s"
    canary = {"interval": interval, "suspect_interval": interval} if rule in PEERS else {}
    route: dict[str, Any] = {
        "name": "chat",
        "candidates": ["a", "b"],
        "failover": {"failback": "auto"},
    }
    if rule == RELATIVE:
        route["objectives"] = {"ttft": {"relative": True}}
    else:
        route["detector"] = {"kind": "normal" if rule == TRAFFIC else rule}
    provider = [
        {"name": name, "api": "openai", "model": "m", "failure_domains": [name], "canary": canary}
        for name in ("a", "b")
    ]
    return fill_in(Config.model_validate({"provider": provider, "route": [route]}))


def detection(job: Job) -> Found:
    """Trials one after the other, far enough apart to be strangers."""
    trials, chance = int(job.size), Random(job.seed)
    if job.rule == ORACLE:
        found = oracle.delays_s(SHARES[job.case], 0.002, ORACLE_NATS, trials, job.seed)
        return Found(job, tuple(found), (), trials)
    generated: dict[str, Any] = {"error_rate": 0.002, **_calls(job.rule)}
    incident, lasts_s = OUTAGES.get(job.case, BROWNOUT)
    if job.rule == RELATIVE:
        generated |= {"ttft_sigma": BROWNOUTS[job.case], "drift": DRIFT}
    starts = [(number + 1) * APART_S + chance.uniform(0, 600) for number in range(trials)]
    scenario = Scenario.model_validate(
        {
            "seed": job.seed,
            "duration_s": (trials + 1) * APART_S,
            "providers": {"a": generated, "b": {**generated, "error_rate": 0.0}},
            "incidents": [
                {"provider": "a", "start_s": start_s, "end_s": start_s + lasts_s, **incident}
                for start_s in starts
            ],
        }
    )
    suffered = simulate(scenario, config(job.rule)).incidents
    return Found(
        job,
        tuple(s.detected_s for s in suffered if s.detected_s is not None),
        tuple(s.flipped_s for s in suffered if s.flipped_s is not None),
        trials,
    )


def _calls(rule: str) -> dict[str, Any]:
    return CALLS if rule == TRAFFIC else {}


def wolf(job: Job) -> Found:
    """Years in which nothing happens but noise, blips and drift."""
    if job.rule == ORACLE:
        count = oracle.false_alarms(0.3, NOISES[job.case], ORACLE_NATS, job.size, job.seed)
        return Found(job, false=count, years=job.size)
    if job.rule == RELATIVE:
        generated: dict[str, Any] = {
            "error_rate": 0.0,
            "ttft_sigma": BROWNOUTS[job.case],
            "drift": DRIFT,
        }
    else:
        generated = {"error_rate": NOISES[job.case], "blips": BLIPS, **_calls(job.rule)}
    scenario = Scenario.model_validate(
        {
            "seed": job.seed,
            "duration_s": job.size * YEAR_S,
            "providers": {"a": generated, "b": {**generated, "error_rate": 0.0, "blips": {}}},
        }
    )
    return Found(job, false=simulate(scenario, config(job.rule)).false_flips, years=job.size)


WORK: dict[str, Callable[[Job], Found]] = {"detection": detection, "false": wolf}


def _work(job: Job) -> Found:
    return WORK[job.what](job)


def jobs(rules: Sequence[str], trials: int, years: float) -> list[Job]:
    """All cells, the long ones first."""
    made: list[Job] = []
    chunks = max(1, math.ceil(years / CHUNK_YEARS))
    for rule in rules:
        for case in BROWNOUTS if rule == RELATIVE else NOISES:
            made += [Job("false", rule, case, years / chunks, seed) for seed in range(chunks)]
        cases = BROWNOUTS if rule == RELATIVE else SHARES if rule == ORACLE else OUTAGES
        made += [Job("detection", rule, case, trials, 7) for case in cases]
    return sorted(made, key=lambda job: (job.what != "false", job.case not in ("2 %", "1 %")))


# -- figures -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds from onset; `missed`: share of trials that were never found. None: nothing was."""

    mean_s: float | None
    within_s: float
    p95_s: float | None
    flipped_s: float | None
    missed: float


@dataclass(frozen=True, slots=True)
class Wolf:
    """False flips a provider-year, and the 95 % interval of that rate."""

    rate: float
    low: float
    high: float
    years: float


def delay(found: Found) -> Delay:
    seen = sorted(found.detected_s)
    missed = 1 - len(seen) / found.trials
    if len(seen) < 2:
        return Delay(None, 0.0, None, None, missed)
    within_s = 1.96 * stdev(seen) / math.sqrt(len(seen))
    p95_s = seen[min(len(seen) - 1, int(0.95 * len(seen)))]
    flipped_s = mean(found.flipped_s) if found.flipped_s else None
    return Delay(mean(seen), within_s, p95_s, flipped_s, missed)


def wolves(parts: Sequence[Found]) -> Wolf:
    """Poisson, by Wilson and Hilferty's cube root."""
    count, years = sum(part.false for part in parts), sum(part.years for part in parts)
    low = count * (1 - 1 / (9 * count) - 1.96 / (3 * math.sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + 1.96 / (3 * math.sqrt(more))) ** 3
    return Wolf(count / years, low / years, high / years, years)


def _say_delay(found: Delay | None) -> str:
    if found is None:
        return ""
    if found.mean_s is None or found.p95_s is None:
        return "missed"
    said = f"{found.mean_s:.0f} ±{found.within_s:.0f} / {found.p95_s:.0f}"
    if found.flipped_s is not None:
        said += f" → {found.flipped_s:.0f}"
    return said + (f", {found.missed:.0%} missed" if found.missed >= 0.005 else "")


def _say_wolf(found: Wolf | None) -> str:
    return "" if found is None else f"{found.rate:.2g} [{found.low:.2g}, {found.high:.2g}]"


def _table(title: str, rules: Sequence[str], cells: dict[tuple[str, str], str]) -> Table:
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    table.add_column("rule", no_wrap=True)
    cases = list(dict.fromkeys(case for _, case in cells))
    for case in cases:
        table.add_column(case, justify="right", no_wrap=True)
    for rule in rules:
        if any((rule, case) in cells for case in cases):
            table.add_row(rule, *(cells.get((rule, case), "") for case in cases))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.detect", description=__doc__)
    rules = (*OURS, TRAFFIC, *PEERS, RELATIVE, ORACLE)
    parser.add_argument("rule", nargs="*", help=f"which: {', '.join(rules)}; else all")
    parser.add_argument("--trials", type=int, default=200, help="outages of each kind")
    parser.add_argument("--years", type=float, default=10.0, help="of noise, for each cell")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    asked = parser.parse_args()
    if unknown := [rule for rule in asked.rule if rule not in rules]:
        parser.error(f"no rule {unknown[0]!r}; there are: {', '.join(rules)}")
    chosen = asked.rule or rules
    work = jobs(chosen, asked.trials, asked.years)
    done: list[Found] = []
    with (
        get_context("spawn").Pool(os.cpu_count()) as pool,
        Progress(console=Console(stderr=True), transient=True) as bar,
    ):
        for found in bar.track(pool.imap_unordered(_work, work), total=len(work)):
            done.append(found)
    delays = {(f.job.rule, f.job.case): delay(f) for f in done if f.job.what == "detection"}
    parts: dict[tuple[str, str], list[Found]] = {}
    for found in done:
        if found.job.what == "false":
            parts.setdefault((found.job.rule, found.job.case), []).append(found)
    false = {cell: wolves(found) for cell, found in parts.items()}
    if asked.as_json:
        said = {
            name: [{"rule": rule, "case": case, **asdict(v)} for (rule, case), v in cells.items()]
            for name, cells in (("delays", delays), ("false", false))
        }
        print(json.dumps(said, indent=2))
        return
    out = Console()
    out.width = max(out.width, 170)
    order = [*OUTAGES, *BROWNOUTS]
    cells = {
        (rule, case): _say_delay(delays[rule, case])
        for case in order for rule in chosen if (rule, case) in delays
    }  # fmt: skip
    title = "seconds to detect: mean ±95 % / 95th percentile → mean to the flip"
    out.print(_table(title, chosen, cells))
    cells = {
        (rule, case): _say_wolf(false[rule, case])
        for case in (*NOISES, *BROWNOUTS) for rule in chosen if (rule, case) in false
    }  # fmt: skip
    out.print(_table("false flips a provider-year, by noise or spread [95 %]", chosen, cells))


if __name__ == "__main__":
    main()
