"""Two providers, both in trouble: how long a dead one keeps the flag, and how often it moves."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from prober.simulation.simulate.engine import Engine, simulate
from prober.simulation.simulate.report import SimulationResult
from prober.simulation.simulate.scenario import configured, parse
from switch.control.decide import FAILOVERS

QUIET = {"error_rate": 0.0}


def run(*incidents: dict[str, Any], duration_s: float = 9000, **said: Any) -> SimulationResult:
    whole = {"duration_s": duration_s, "incidents": list(incidents)}
    scenario = parse(json.dumps(whole | {"providers": {"a": QUIET, "b": QUIET}} | said))
    return simulate(scenario, configured(scenario, Path()))


def outage(provider: str, start_s: float, end_s: float, share: float = 1.0) -> dict[str, Any]:
    return {"provider": provider, "start_s": start_s, "end_s": end_s, "error_rate": share}


def test_a_dead_primary_does_not_keep_the_flag_while_the_other_waits_out_its_dwell() -> None:
    found = run(outage("a", 2000, 2120), outage("b", 2420, 6000))
    assert [(f.source, f.target, f.kind) for f in found.flips[:2]] == [
        ("a", "b", "failover"),
        ("b", "a", "last_resort"),
    ]
    assert found.flips[1].at_s - 2420 < 75
    assert found.false_flips == 0


def test_a_dwell_that_a_relapse_has_doubled_is_not_waited_for_either() -> None:
    relapses = [outage("a", start_s, start_s + 120) for start_s in (2000, 4000, 6000)]
    found = run(*relapses, outage("b", 6500, 12_000), duration_s=15_000)
    [way_out] = [flip for flip in found.flips if flip.kind == "last_resort"]
    assert 0 < way_out.at_s - 6500 < 75


def test_one_that_comes_back_while_the_primary_is_dead_is_taken_after_its_first_good_ones() -> None:
    found = run(outage("a", 2000, 4000), outage("b", 2300, 9000))
    [way_out] = [flip for flip in found.flips if flip.kind == "last_resort"]
    assert 0 < way_out.at_s - 4000 < 60


def test_half_of_the_answers_are_taken_rather_than_none() -> None:
    found = run(outage("a", 2000, 9000, 0.5), outage("b", 2600, 9000))
    assert found.flips[-1].target == "a"
    assert found.flips[-1].at_s - 2600 < 600


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("how", [{}, {"outcome": "connect"}, {"hang": True}])
def test_two_that_fail_and_come_back_together_move_no_flag(seed: int, how: dict[str, Any]) -> None:
    """As when our own network is gone, or the gateway that both stand behind."""
    found = run(*(outage(name, 2000, 4000) | how for name in ("a", "b")), seed=seed)
    assert found.flips == ()


@pytest.mark.parametrize("how", [{}, {"outcome": "connect"}])
def test_one_in_its_dwell_that_fails_and_comes_back_with_the_primary_is_no_way_out(
    how: dict[str, Any],
) -> None:
    both = [outage(name, 2500, 2560) | how for name in ("a", "b")]
    found = run(outage("a", 2000, 2120), *both, duration_s=4000)
    assert found.flips[0].kind == "failover", "so that the other is in its dwell"
    assert "last_resort" not in [flip.kind for flip in found.flips]


@pytest.mark.parametrize("seed", range(2))
def test_between_two_half_broken_ones_the_flag_does_not_swing_faster_than_its_bound(
    seed: int,
) -> None:
    """Within any hour at most `max_flips` and one more, whatever the two do."""
    chance, incidents = Random(seed), []
    for name in ("a", "b"):
        at_s = 1000.0
        while at_s < 5 * 3600:
            end_s = at_s + chance.uniform(60, 1200)
            incidents.append(outage(name, at_s, end_s, chance.choice((0.2, 0.5, 0.9, 1.0))))
            at_s = end_s + chance.uniform(10, 600)
    whole = {"duration_s": 5 * 3600, "providers": {"a": {}, "b": {}}, "incidents": incidents}
    scenario = parse(json.dumps(whole))
    course = Engine(scenario, configured(scenario, Path())).run()
    times = [move.at_s for move in course.moves if move.kind in FAILOVERS]
    assert len(times) >= 5, "there was something to swing for"
    most = max(sum(1 for t in times if at_s <= t < at_s + 3600) for at_s in times)
    assert most <= 3
