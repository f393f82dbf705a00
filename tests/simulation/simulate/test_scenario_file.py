"""A scenario is read whole, or refused in one line that names the key and what to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prober.sample import Outcome
from prober.simulation.simulate.scenario import ScenarioError, load, parse

A = {"duration_s": 60, "providers": {"a": {}}}


def refusal(said: Any) -> str:
    with pytest.raises(ScenarioError) as refused:
        parse(said if isinstance(said, str) else json.dumps(said))
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes at line 1 column 2"),
        ([], 'must be a JSON object: write {"duration_s": 86400, "providers": {…}}'),
        ({}, "duration_s is missing: write seconds above 0, like 86400"),
        ({**A, "duration_s": 0}, "duration_s = 0: write seconds above 0, like 86400"),
        (
            {**A, "duration_s": 1e18},
            "duration_s = 1e+18: write seconds above 0, like 86400, and at most 10000000000",
        ),
        (
            '{"duration_s": 60, "providers": {"a": {}, "a": {"error_rate": 1}}}',
            '"a" stands there twice in one object; write one of them',
        ),
        (
            {**A, "duration_s": 60, "incidents": [{"provider": "a", "start_s": 60, "end_s": 90}]},
            "incidents[0].start_s = 60: the scenario ends at 60; write an earlier one, or a longer "
            "duration_s",
        ),
        ({**A, "duration_s": "1h"}, 'duration_s = "1h": write seconds above 0, like 86400'),
        ({**A, "seed": 1.5}, "seed = 1.5: write a whole number, like 1"),
        ({**A, "sead": 1}, "sead: unknown key; did you mean 'seed'?"),
        (
            {**A, "providers": {}},
            'providers = {}: write at least one provider, like {"a": {"error_rate": 0.002}}',
        ),
        (
            {**A, "providers": {"a": 3}},
            'providers.a = 3: write an object, like {"error_rate": 0.002}',
        ),
        (
            {**A, "providers": {"A b": {}}},
            "providers.A b: use a-z, 0-9, - and _ only, at most 64 characters",
        ),
        (
            {**A, "providers": {"a": {"error_rate": 30}}},
            "providers.a.error_rate = 30: write a share from 0 to 1, like 0.3",
        ),
        (
            {**A, "providers": {"a": {"blips": {"min_s": 9, "max_s": 1}}}},
            "providers.a.blips: max_s is less than min_s: write the longer one as max_s",
        ),
        ({**A, "incidents": {}}, "incidents = {}: write a list of incidents, like []"),
        (
            {**A, "incidents": [{"provider": "a", "start_s": 1}]},
            "incidents[0].end_s is missing: write seconds, like 45",
        ),
        (
            {**A, "incidents": [{"provider": "a", "start_s": 5, "end_s": 5}]},
            "incidents[0]: end_s is not after start_s: write a later end_s",
        ),
        (
            {**A, "incidents": [{"provider": "ab", "start_s": 1, "end_s": 5}]},
            "incidents[0].provider = \"ab\": there is no such provider; did you mean 'a'?",
        ),
        (
            {**A, "incidents": [{"provider": "a", "start_s": 1, "end_s": 5, "outcome": "ok"}]},
            'incidents[0]: outcome = "ok" is no failure: write one like "overloaded"',
        ),
        (
            {**A, "incidents": [{"provider": "a", "start_s": 1, "end_s": 5, "hang": 1}]},
            "incidents[0].hang = 1: write true or false",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(said: Any, line: str) -> None:
    assert refusal(said) == line


def test_an_unknown_outcome_is_answered_with_all_there_are() -> None:
    incident = {"provider": "a", "start_s": 1, "end_s": 5, "outcome": "bad"}
    line = refusal({**A, "incidents": [incident]})
    assert line.startswith("incidents[0].outcome = \"bad\": write one of 'ok', 'overloaded'")


def test_the_documented_scenario_is_read() -> None:
    scenario = parse(
        json.dumps(
            {
                "seed": 1,
                "duration_s": 86_400,
                "providers": {
                    "a": {
                        "error_rate": 0.002,
                        "ttft_median_s": 0.6,
                        "ttft_sigma": 0.4,
                        "blips": {"per_month": 20, "min_s": 5, "max_s": 45},
                    },
                    "b": {},
                },
                "incidents": [
                    {
                        "provider": "a",
                        "start_s": 100,
                        "end_s": 200.5,
                        "error_rate": 0.3,
                        "latency_factor": 1.0,
                        "outcome": "overloaded",
                        "hang": False,
                    }
                ],
            }
        )
    )
    assert list(scenario.providers) == ["a", "b"]
    assert scenario.incidents[0].outcome is Outcome.OVERLOADED
    assert scenario.incidents[0].failing == 0.3


@pytest.mark.parametrize(
    ("incident", "failing"),
    [
        ({}, 1.0),
        ({"latency_factor": 3.0}, 0.0),
        ({"error_rate": 0.0}, 0.0),
        ({"hang": True}, 1.0),
        ({"hang": True, "error_rate": 0.5}, 0.5),
        ({"hang": True, "error_rate": 0.0}, 0.0),
        ({"latency_factor": 3.0, "error_rate": 0.1}, 0.1),
    ],
)
def test_an_incident_that_says_no_share_is_an_outage_unless_it_is_a_slowness(
    incident: dict[str, Any], failing: float
) -> None:
    made = {"provider": "a", "start_s": 1, "end_s": 5, **incident}
    assert parse(json.dumps({**A, "incidents": [made]})).incidents[0].failing == failing


# -- with a configuration --------------------------------------------------------------------------

TOML = """
[[provider]]
name = "a"
api = "openai"
model = "m"
[[provider]]
name = "b"
api = "openai"
model = "m"
[[route]]
name = "summaries"
candidates = ["b", "a"]
"""


def written(folder: Path, toml: str, **said: Any) -> Path:
    (folder / "prober.toml").write_text(toml, "utf-8")
    path = folder / "scenario.json"
    path.write_text(json.dumps({"duration_s": 60, "config": "prober.toml", **said}), "utf-8")
    return path


def test_a_configuration_is_found_beside_the_scenario(tmp_path: Path) -> None:
    _, config = load(written(tmp_path, TOML, providers={"a": {}, "b": {}}))
    assert [route.name for route in config.route] == ["summaries"]


def test_without_a_configuration_one_route_takes_the_providers_in_their_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps({"duration_s": 60, "providers": {"z": {}, "y": {}}}), "utf-8")
    _, config = load(path)
    assert [(route.name, route.candidates) for route in config.route] == [("chat", ("z", "y"))]
    assert config.route[0].failover.failback == "auto"
    assert config.route[0].mode == "auto"


@pytest.mark.parametrize(
    ("providers", "line"),
    [
        (
            {"a": {}},
            'providers: "b" is missing, a candidate of route "summaries" in prober.toml: '
            'write "b": {"error_rate": 0.002}',
        ),
        (
            {"a": {}, "b": {}, "bb": {}},
            "providers: \"bb\" is no [[provider]] of prober.toml; did you mean 'b'?",
        ),
    ],
)
def test_scenario_and_configuration_must_name_the_same_providers(
    tmp_path: Path, providers: dict[str, Any], line: str
) -> None:
    path = written(tmp_path, TOML, providers=providers)
    with pytest.raises(ScenarioError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: {line}"


def test_a_bad_configuration_is_the_scenarios_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r'config = "prober.toml": .*unknown table'):
        load(written(tmp_path, "[what]\n", providers={"a": {}}))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere.json: cannot be read: No such file"):
        load(tmp_path / "nowhere.json")
