"""`prober simulate` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Prober

SCENARIO = {
    "duration_s": 7_200,
    "providers": {"a": {"error_rate": 0.0}, "b": {"error_rate": 0.0}},
    "incidents": [{"provider": "a", "start_s": 1_000, "end_s": 3_000}],
}


async def test_a_scenario_is_told_in_sentences_or_as_json(tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(SCENARIO), "utf-8")
    said = await prober("simulate", str(path))
    assert said.exit_code == 0, said.output
    assert "a → b" in said.output
    assert "0 of them false" in said.output
    plain = json.loads((await prober("simulate", str(path), "--json")).stdout)
    assert plain["false_flips"] == 0
    assert [(flip["from"], flip["to"]) for flip in plain["flips"]] == [("a", "b"), ("b", "a")]


async def test_a_bad_scenario_is_one_line_and_bad_usage(tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "scenario.json"
    path.write_text('{"duration_s": -5, "providers": {"a": {}}}', "utf-8")
    said = await prober("simulate", str(path), "--json")
    assert said.exit_code == 2
    assert said.stderr.splitlines() == [
        f"prober: {path}: duration_s = -5: write seconds above 0, like 86400"
    ]
