"""`prober check`: what it refuses offline, what it tries online, and JSON whichever way it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from prober.emulator import Emulator
from tests.support.servers import Valkey
from tests.support.stage import Hook, write_config

Prober = Callable[..., Any]


@pytest.fixture
def config(tmp_path: Path, emulator: Emulator, oncall: Hook, valkey: Valkey) -> Path:
    return write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)


def plain(said: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said.stdout)
    return found


async def test_a_database_where_nothing_can_be_written_and_a_channel_of_no_kind_are_errors(
    config: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOOK", "slak://T1/secret-token")
    text = config.read_text().replace("sqlite:///prober.db", f"sqlite:///{tmp_path}/file/prober.db")
    config.write_text(text)
    said = await prober("check")
    assert said.exit_code == 2
    assert f"[database]: url: {tmp_path}/file is no folder" in said.stderr
    assert 'url: apprise knows no "slak://"; did you mean "slack://"?' in said.stderr
    assert "secret-token" not in said.output


# -- JSON on every exit ----------------------------------------------------------------------------


async def test_json_is_printed_on_every_exit(
    config: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fine = await prober("check", "--json")
    assert (fine.exit_code, plain(fine)["fine"], plain(fine)["errors"]) == (0, True, [])
    monkeypatch.delenv("KEY_B")
    missing = await prober("check", "--json")
    assert (missing.exit_code, len(plain(missing)["errors"])) == (2, 1)
    config.write_text("[nosuch]\nx = 1\n")
    refused = await prober("check", "--json")
    assert (refused.exit_code, plain(refused)["fine"]) == (2, False)
    assert "unknown table" in plain(refused)["errors"][0]
    config.write_text("this is no TOML")
    assert "prober.toml" in plain(await prober("check", "--json"))["errors"][0]
    config.unlink()
    assert "cannot be read" in plain(await prober("check", "--json"))["errors"][0]
    monkeypatch.delenv("PROBER_CONFIG")
    monkeypatch.chdir(tmp_path)
    nothing = await prober("check", "--json")
    assert nothing.exit_code == 2
    assert "no prober.toml here" in plain(nothing)["errors"][0]


# -- online ----------------------------------------------------------------------------------------


async def test_online_tries_everything_and_sends_nothing(
    config: Path, prober: Prober, oncall: Hook, emulator: Emulator
) -> None:
    emulator.set_faults(api="openai", model="gpt-test", ttft_s=0.001)
    said = await prober("check", "--online", "--json")
    assert said.exit_code == 0, said.output
    by_what = {row["what"]: row for row in plain(said)["tried"]}
    assert by_what["redis"] == {
        "what": "redis", "fine": True, "said": "it can be written, and every command is allowed",
    }  # fmt: skip
    assert by_what["database"]["said"] == "there is no file yet; `prober run` makes it"
    assert by_what["provider a"]["fine"] is True
    assert [row["fine"] for what, row in by_what.items() if what.startswith("alert")] == [None]
    assert oncall.letters == []
    assert "redis: fine: it can be written" in (await prober("check", "--online")).output


async def test_online_a_model_that_is_nowhere_leaves_with_1(config: Path, prober: Prober) -> None:
    said = await prober("check", "--online")
    assert said.exit_code == 1, said.output
    assert (
        "provider b: NOT fine: gpt-test is not in the provider's list of models; "
        "try: prober probe b"
    ) in said.output
    assert "1 routes; not so all that it points at" in said.output
