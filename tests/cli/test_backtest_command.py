"""`prober backtest` and `prober tune` at the command line."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prober.history.store.schema import open_engine, upgrade
from tests.support.histories import AT, canaries, configuration, keep

from .conftest import Prober

HOUR_S = 3_600.0


def partial(name: str, at_s: float, chance: float) -> bool:
    return chance < (0.4 if name == "a" and 7_200 <= at_s < 10_800 else 0.003)


@pytest.fixture
def history(tmp_path: Path) -> Callable[[float], None]:
    """Writes a configuration, and so many hours that end about now."""

    def write(hours: float) -> None:
        url = f"sqlite:///{tmp_path}/prober.db"
        (tmp_path / "prober.toml").write_text(configuration(tmp_path, url), "utf-8")
        engine = open_engine(url)
        upgrade(engine)
        shift_s = time.time() - AT - hours * HOUR_S
        made = canaries(hours * HOUR_S, partial)
        keep(engine, [replace(s, started_at=s.started_at + shift_s) for s in made])
        engine.dispose()

    return write


async def test_two_columns_and_what_was_assumed(
    history: Callable[[float], None], prober: Prober
) -> None:
    await asyncio.to_thread(history, 5)
    said = await prober("backtest", "--since", "6h", "--detector", "for-5m")
    assert said.exit_code == 0, said.output
    assert "in force" in said.output
    assert "tried" in said.output
    assert "a → b" in said.output
    assert "Nobody knows the truth" in said.output
    plain = json.loads((await prober("backtest", "--json")).stdout)
    assert list(plain["columns"]) == ["in_force"]
    assert plain["settings"] is None
    assert len(plain["limits"]) >= 4
    tried = await prober("backtest", "--json", "--set", "route.chat.detector.kind=for-5m")
    plain = json.loads(tried.stdout)
    assert plain["settings"] == {"detector": None, "set": ["route.chat.detector.kind=for-5m"]}
    assert plain["columns"]["in_force"]["found"] == 1
    assert plain["columns"]["tried"]["found"] == 0
    assert plain["columns"]["tried"]["missed"] == 1


async def test_a_misspelt_setting_is_one_line_and_bad_usage(
    history: Callable[[float], None], prober: Prober
) -> None:
    await asyncio.to_thread(history, 0.1)
    said = await prober("backtest", "--set", "route.chat.objectives.availabilty=0.9")
    assert said.exit_code == 2
    assert said.stderr.splitlines() == [
        "prober: with --set: [[route]] \"chat\": unknown key 'objectives.availabilty'; "
        "did you mean 'availability'?"
    ]
    said = await prober("backtest", "--since", "a while")
    assert said.exit_code == 2
    assert "prober: --since a while: write a duration with its unit" in said.stderr


async def test_no_history_is_one_line(tmp_path: Path, prober: Prober) -> None:
    url = f"sqlite:///{tmp_path}/nothing.db"
    (tmp_path / "prober.toml").write_text(configuration(tmp_path, url), "utf-8")
    for command in ("backtest", "tune"):
        said = await prober(command, "--json")
        assert said.exit_code == 1
        assert said.stderr.splitlines() == [
            "prober: there is no history yet; it begins with: prober run"
        ]


async def test_sql_that_is_away_is_one_line(tmp_path: Path, prober: Prober) -> None:
    url = "postgresql+psycopg://127.0.0.1:1/nothing"
    text = configuration(tmp_path, url)
    (tmp_path / "prober.toml").write_text(text, "utf-8")
    said = await prober("backtest", "--json")
    assert said.exit_code == 1
    [line] = said.stderr.splitlines()
    assert line.startswith("prober: history cannot be read: ")


async def test_too_little_history_to_tune_by_is_one_line(
    history: Callable[[float], None], prober: Prober
) -> None:
    await asyncio.to_thread(history, 5)
    said = await prober("tune", "--json")
    assert said.exit_code == 1
    [line] = said.stderr.splitlines()
    assert "2000 canaries at the base rate are needed of a provider; there are" in line


async def test_tune_prints_a_frontier_and_lines_to_paste(
    history: Callable[[float], None], prober: Prober, tmp_path: Path
) -> None:
    await asyncio.to_thread(history, 20)
    small = ("--years", "0.1", "--trials", "20", "--at-most", "100")
    plain = json.loads((await prober("tune", "--json", *small)).stdout)
    assert plain == json.loads((await prober("tune", "--json", *small)).stdout)
    rows = plain["rows"]
    assert [row["false_flips_a_year"] for row in rows] == sorted(
        row["false_flips_a_year"] for row in rows
    )
    assert sum(row["recommended"] for row in rows) == 1
    assert {"in force", "normal"} <= {name for row in rows for name in row["names"]}
    assert all(set(row["detected_s"]) == {"1", "0.3", "0.1"} for row in rows)
    assert {row["on_the_record"]["of"] for row in rows} == {1}
    path = tmp_path / "prober.toml"
    path.write_text(path.read_text("utf-8") + plain["recommended"]["toml"], "utf-8")
    assert (await prober("check")).exit_code == 0
