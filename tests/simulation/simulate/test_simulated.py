"""Scenarios whose end is known, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prober.simulation.simulate.engine import Engine, simulate
from prober.simulation.simulate.report import YEAR_S, SimulationResult
from prober.simulation.simulate.scenario import configured, parse

QUIET = {"error_rate": 0.0}
HOUR_S = 3_600.0


def run(*incidents: dict[str, Any], **said: Any) -> SimulationResult:
    whole = {
        "duration_s": 4 * HOUR_S,
        "providers": {"a": QUIET, "b": QUIET},
        "incidents": list(incidents),
        **said,
    }
    scenario = parse(json.dumps(whole))
    return simulate(scenario, configured(scenario, Path()))


def trouble(provider: str = "a", start_s: float = HOUR_S, **said: Any) -> dict[str, Any]:
    return {"provider": provider, "start_s": start_s, "end_s": start_s + HOUR_S / 2, **said}


def moves(result: SimulationResult) -> list[tuple[str, str]]:
    return [(flip.source, flip.target) for flip in result.flips]


def test_a_quiet_year_has_no_flip_and_a_canary_every_30_seconds() -> None:
    found = run(duration_s=YEAR_S / 12)
    assert (found.flips, found.false_flips) == ((), 0)
    # The first primary is watched for ten minutes, like every other.
    assert found.probes == pytest.approx(2 * YEAR_S / 12 / 30 + 180, abs=20)
    assert found.provider_years == pytest.approx(2 / 12)


def test_an_outage_is_left_in_about_a_minute_and_come_back_from_when_it_is_over() -> None:
    found = run(trouble())
    assert moves(found) == [("a", "b"), ("b", "a")]
    assert found.false_flips == 0
    [incident] = found.incidents
    assert incident.detected_s is not None
    assert incident.flipped_s is not None
    assert 45 <= incident.detected_s <= incident.flipped_s <= 90
    assert incident.covered == pytest.approx(1 - incident.flipped_s / (HOUR_S / 2))
    assert "a breached availability" in found.flips[0].reason
    assert found.flips[1].at_s > HOUR_S * 1.5 + 600, "healthy for ten minutes first"


@pytest.mark.parametrize("how", [{}, {"hang": True}])
def test_a_flip_out_of_an_outage_does_not_wait_for_its_proof(how: dict[str, Any]) -> None:
    """The target was proven while the streak was growing."""
    [incident] = run(trouble(**how), seed=4).incidents
    assert incident.flipped_s == incident.detected_s


def test_a_third_of_the_requests_is_found() -> None:
    [incident] = run(trouble(error_rate=0.3), seed=3).incidents
    assert incident.flipped_s is not None
    assert incident.flipped_s < 400


def test_a_hang_is_found_by_canaries_that_overlap() -> None:
    [incident] = run(trouble(hang=True)).incidents
    assert incident.detected_s is not None
    assert incident.detected_s < 85


def test_a_blip_moves_nothing() -> None:
    blip = trouble() | {"end_s": HOUR_S + 40}
    found = run(blip)
    assert found.flips == ()
    [incident] = found.incidents
    assert (incident.detected_s, incident.flipped_s, incident.covered) == (None, None, 0.0)


def test_when_all_are_bad_the_flag_stays() -> None:
    found = run(trouble(), trouble("b"))
    assert found.flips == ()
    assert all(incident.detected_s is not None for incident in found.incidents)


def test_a_candidate_in_trouble_is_detected_and_counts_as_covered() -> None:
    found = run(trouble("b"))
    assert found.flips == ()
    [incident] = found.incidents
    assert incident.detected_s is not None
    assert (incident.flipped_s, incident.covered) == (None, 1.0)


def test_a_flip_away_from_a_provider_without_an_incident_is_false() -> None:
    noisy = {"error_rate": 0.12}
    found = run(providers={"a": noisy, "b": QUIET}, duration_s=24 * HOUR_S)
    away = [move for move in moves(found) if move == ("a", "b")]
    assert found.false_flips == len(away) > 0, "going home is never false"


def test_a_path_failure_counts_once_another_provider_has_answered() -> None:
    assert moves(run(trouble(outcome="connect"))) == [("a", "b"), ("b", "a")]
    alone = run(trouble(outcome="connect"), providers={"a": QUIET})
    assert alone.incidents[0].detected_s is None, "unknown is not down"


def test_the_same_scenario_gives_the_same_and_another_seed_another() -> None:
    noisy = {"a": {"error_rate": 0.02}, "b": {"error_rate": 0.02}}
    first, again = (run(trouble(error_rate=0.3), providers=noisy) for _ in range(2))
    assert first == again
    assert run(trouble(error_rate=0.3), providers=noisy, seed=2) != first


def test_every_second_counts_against_the_budget(tmp_path: Path) -> None:
    """A provider whose day is spent is unknown, and unknown is not down."""
    (tmp_path / "prober.toml").write_text(
        """
[[provider]]
name = "a"
api = "openai"
model = "m"
price = { input = 10.0 }
canary = { daily_budget_usd = 4.2 }
[[provider]]
name = "b"
api = "openai"
model = "m"
[[route]]
name = "chat"
candidates = ["a", "b"]
""",
        "utf-8",
    )
    said = {"duration_s": 86_000, "config": "prober.toml", "providers": {"a": QUIET, "b": QUIET}}
    scenario = parse(json.dumps(said))
    found = simulate(scenario, configured(scenario, tmp_path))
    assert 0 < found.cost_usd <= 4.2
    assert found.cost_usd == pytest.approx(0.001 * (found.probes - 86_000 / 30), abs=0.02)


def test_the_report_has_the_documented_shape() -> None:
    plain = json.loads(json.dumps(run(trouble()).plain()))
    assert list(plain) == [
        "flips", "incidents", "false_flips", "probes", "cost_usd", "provider_years",
    ]  # fmt: skip
    assert list(plain["flips"][0]) == ["t_s", "route", "from", "to", "reason"]
    assert list(plain["incidents"][0]) == [
        "provider", "start_s", "end_s", "detected_s", "flipped_s", "covered",
    ]  # fmt: skip


CALLED = {"error_rate": 0.002, "traffic_rps": 5.0}


def test_what_applications_report_finds_a_third_in_half_a_minute() -> None:
    called = {"a": CALLED, "b": CALLED}
    incidents = [trouble(start_s=HOUR_S * 10 * n, error_rate=0.3) for n in range(1, 9)]
    found = run(*incidents, providers=called, duration_s=90 * HOUR_S)
    flipped = [incident.flipped_s for incident in found.incidents]
    assert sum(at_s or 600.0 for at_s in flipped) / len(flipped) < 40
    assert any("processes failed in" in flip.reason for flip in found.flips)
    assert found.false_flips == 0


def test_blips_that_applications_report_move_nothing() -> None:
    blips = [
        {"provider": "a", "start_s": HOUR_S * n, "end_s": HOUR_S * n + 5 + n % 41}
        for n in range(1, 200)
    ]
    assert run(*blips, providers={"a": CALLED, "b": CALLED}, duration_s=200 * HOUR_S).flips == ()


def test_reports_are_drawn_alike_whether_or_not_quiet_hours_are_passed_over() -> None:
    scenario = parse(
        json.dumps(
            {
                "duration_s": 6 * HOUR_S,
                "providers": {"a": {**CALLED, "error_rate": 0.02}, "b": CALLED},
                "incidents": [trouble(error_rate=0.3), trouble(start_s=4 * HOUR_S)],
            }
        )
    )
    config = configured(scenario, Path())
    fast, slow = (Engine(scenario, config, every_second=every).run() for every in (False, True))
    assert fast == slow
    assert any("processes failed in" in move.reason for move in fast.moves)


CONFIG = """
[[provider]]
name = "a"
api = "openai"
model = "m"

[[provider]]
name = "b"
api = "openai"
model = "m"

[[route]]
name = "chat"
candidates = ["a", "b"]
[route.failover]
failback = "auto"

[[maintenance]]
name = "night"
provider = "a"
start = 2026-01-01T00:50:00Z
end = 2026-01-01T01:40:00Z
"""


def run_with(folder: Path, config: str, *incidents: dict[str, Any]) -> SimulationResult:
    (folder / "prober.toml").write_text(config, "utf-8")
    whole = {
        "duration_s": 2.5 * HOUR_S,
        "config": "prober.toml",
        "providers": {"a": QUIET, "b": QUIET},
        "incidents": list(incidents),
    }
    scenario = parse(json.dumps(whole))
    return simulate(scenario, configured(scenario, folder))


def test_an_outage_within_a_muted_window_moves_nothing(tmp_path: Path) -> None:
    """As in the daemon: canaries are sent, and nothing is judged."""
    found = run_with(tmp_path, CONFIG, trouble())
    assert found.flips == ()
    [incident] = found.incidents
    assert (incident.detected_s, incident.flipped_s) == (None, None)


def test_an_outage_that_outlasts_its_window_is_found_after_it(tmp_path: Path) -> None:
    outage = trouble() | {"end_s": 2 * HOUR_S}
    [incident] = run_with(tmp_path, CONFIG, outage).incidents
    assert incident.flipped_s is not None
    assert 40 * 60 + 45 <= incident.flipped_s <= 40 * 60 + 90


def test_a_drain_is_planned_and_so_no_false_flip(tmp_path: Path) -> None:
    found = run_with(tmp_path, CONFIG + 'action = "drain"\n')
    assert moves(found) == [("a", "b"), ("b", "a")]
    assert found.flips[0].at_s == pytest.approx(45 * 60, abs=30)
    assert found.false_flips == 0


def test_a_provider_that_breaks_just_after_its_drain_is_left_at_once(tmp_path: Path) -> None:
    """The way out and the way home are two flips within the hour, and no flapping."""
    outage = trouble(start_s=100 * 60 + 90)
    found = run_with(tmp_path, CONFIG + 'action = "drain"\n', outage)
    assert moves(found)[:3] == [("a", "b"), ("b", "a"), ("a", "b")]
    [incident] = found.incidents
    assert incident.flipped_s is not None
    assert incident.flipped_s < 90
