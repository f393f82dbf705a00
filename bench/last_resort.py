"""`python -m bench.last_resort`: two providers, both in trouble, and what waiting costs.

Pairs of outages as real ones are (docs/detection.md): the second begins during the first or
within the hour after. Each line is one rule for the last resort, over the same pairs; hours count
by the share that fails, those no choice between the two could have spared left out.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from prober.simulation.simulate.engine import simulate
from prober.simulation.simulate.scenario import Outage, Scenario, configured, parse
from switch.control import target

if TYPE_CHECKING:
    from prober.simulation.simulate.report import SimulationResult

# Share that fails, and how often it is that.
SHARES = ((1.0, 0.18), (0.5, 0.27), (0.3, 0.35), (0.1, 0.20))
SHORTEST_S, LONGEST_S = 300.0, 21_600.0
# Past the six hours after which a breach is no relapse any more.
APART_S = 8 * 3_600.0
PROVIDER = {
    "error_rate": 0.002,
    "ttft_sigma": 0.4,
    "blips": {"per_month": 20, "min_s": 5, "max_s": 45},
}
RULES = {"never": math.inf, "20 nats": 20.0, "10 nats": 10.0, "5 nats": 5.0}


def scenario_of(pairs: int, seed: int) -> dict[str, Any]:
    chance = Random(seed)
    incidents: list[dict[str, Any]] = []
    at_s = APART_S
    for _ in range(pairs):
        first, second = chance.sample(("a", "b"), 2)
        one = _outage(chance, first, at_s)
        two = _outage(chance, second, chance.uniform(at_s, one["end_s"] + 3_600))
        incidents += one, two
        at_s = max(one["end_s"], two["end_s"]) + APART_S
    providers = {"a": PROVIDER, "b": PROVIDER}
    return {"seed": seed, "duration_s": at_s, "providers": providers, "incidents": incidents}


def _outage(chance: Random, provider: str, start_s: float) -> dict[str, Any]:
    lasts_s = math.exp(chance.uniform(math.log(SHORTEST_S), math.log(LONGEST_S)))
    [share] = chance.choices([s for s, _ in SHARES], [often for _, often in SHARES])
    return {
        "provider": provider,
        "start_s": start_s,
        "end_s": start_s + lasts_s,
        "error_rate": share,
    }


def hours(scenario: Scenario, result: SimulationResult) -> tuple[float, float, float]:
    """(served, best possible, always the first): hours weighted by the share that failed."""
    turns = [(0.0, "a"), *((flip.at_s, flip.target) for flip in result.flips)]
    served = best = stayed = 0.0
    for begin_s, end_s, live in _spans(scenario.incidents, [at_s for at_s, _ in turns]):
        failing = {name: _failing(live, name) for name in scenario.providers}
        flag = next(name for at_s, name in reversed(turns) if at_s <= begin_s)
        span_h = (end_s - begin_s) / 3600
        served += failing[flag] * span_h
        best += min(failing.values()) * span_h
        stayed += failing["a"] * span_h
    return served, best, stayed


def _failing(live: Sequence[Outage], name: str) -> float:
    return max((i.failing for i in live if i.provider == name), default=0.0)


def _spans(
    incidents: Sequence[Outage], turns: Sequence[float]
) -> Iterator[tuple[float, float, list[Outage]]]:
    """The times in which nothing changes and something fails: (from, to, what fails)."""
    edges = sorted({*turns, *(i.start_s for i in incidents), *(i.end_s for i in incidents)})
    for begin_s, end_s in pairwise(edges):
        live = [i for i in incidents if i.start_s <= begin_s < i.end_s]
        if live:
            yield begin_s, end_s, live


def _played(asked: tuple[str, dict[str, Any]]) -> list[str]:
    rule, whole = asked
    vars(target).update(CLEARLY_BETTER=RULES[rule])
    scenario = parse(Scenario.model_validate(whole).model_dump_json())
    result = simulate(scenario, configured(scenario, Path()))
    served, best, stayed = hours(scenario, result)
    figures = served, best, served - best, stayed
    return [rule, *(f"{f:.1f}" for f in figures), str(len(result.flips)), str(result.false_flips)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.last_resort", description=__doc__)
    parser.add_argument("--pairs", type=int, default=150, help="how many pairs of outages")
    parser.add_argument("--seed", type=int, default=1, help="other pairs")
    asked = parser.parse_args()
    whole = scenario_of(asked.pairs, asked.seed)
    table = Table("last resort at", "served h", "best h", "avoidable h", "staying h", "flips",
                  "false")  # fmt: skip
    with get_context("spawn").Pool() as pool:
        for row in pool.imap(_played, [(rule, whole) for rule in RULES]):
            table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
