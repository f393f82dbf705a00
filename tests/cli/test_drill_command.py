"""`prober drill`, beside a running daemon."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from prober.daemon.daemon import Daemon
from prober.emulator import Emulator
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

from .conftest import Prober


@pytest.fixture
def config(tmp_path: Path, emulator: Emulator, valkey: Valkey, oncall: Hook) -> Path:
    return write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)


async def well(daemon: Daemon) -> None:
    state = daemon.judge.states["chat"]
    trackers = state.trackers.values()
    await until(
        lambda: (
            state.primary == "a" and all(t.health(daemon.clock.mono())[0] == "ok" for t in trackers)
        )
    )


async def test_a_drill_is_told_from_begin_to_end_and_remembered(
    config: Path, emulator: Emulator, prober: Prober
) -> None:
    async with running(config) as daemon:
        await well(daemon)
        assert "never drilled: `prober drill chat`" in (await prober("status")).output
        dry = await prober("drill", "chat", "--dry-run")
        assert dry.exit_code == 0, dry.output
        assert "chat would move from a to b (4 of 4" in dry.output
        assert "Nothing was moved." in dry.output
        said = await prober("drill", "chat", "--for", "1s")
        assert said.exit_code == 0, said.output
        assert "chat is on b (4 of 4" in said.output
        assert "for 1s at most, then back to a; at once if b turns bad." in said.output
        assert "Drill over: b carried " in said.output
        assert "chat is on a." in said.output
        assert "last drill " in (await prober("status")).output
        assert await asyncio.to_thread(daemon.store.wait_written, 10)
        history = (await prober("history")).output
        assert "chat: a → b (manual, drill of " in history
        assert "chat: b → a (manual, drill of " in history


async def test_while_it_goes_on_status_says_so_and_a_failure_leaves_with_1(
    config: Path, emulator: Emulator, prober: Prober
) -> None:
    async with running(config) as daemon:
        await well(daemon)
        begun = await prober("drill", "--for", "10m", "--no-wait", "--json")
        assert begun.exit_code == 0, begun.output
        assert json.loads(begun.stdout)["to"] == "b"
        status = (await prober("status")).output
        assert "drill by " in status
        assert ", home is a" in status
        second = await prober("drill")
        assert second.exit_code == 1
        assert "a drill of chat is under way" in second.output
        state = daemon.judge.states["chat"]
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(lambda: state.drill is None)
        assert "b failed after" in (await prober("status")).output


async def test_a_drill_that_fails_leaves_with_1(
    config: Path, emulator: Emulator, prober: Prober
) -> None:
    async with running(config) as daemon:
        await well(daemon)
        task = asyncio.create_task(prober("drill", "--for", "10m"))
        await until(lambda: daemon.judge.states["chat"].primary == "b")
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        said = await task
        assert said.exit_code == 1
        assert "Drill over: b failed after" in said.output


async def test_an_interrupted_wait_says_where_to_look_and_spoils_no_json(
    config: Path, prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("prober.cli.drill._wait", interrupted)
    async with running(config) as daemon:
        await well(daemon)
        said = await prober("drill", "chat", "--for", "1s", "--json")
        assert said.exit_code == 130
        assert said.stdout == ""
        assert "The drill goes on, and goes back by itself; see: prober status\n" in said.stderr
        assert (await prober("status")).exit_code == 0
        await until(lambda: daemon.judge.states["chat"].drill is None)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--for", "31m"), "a drill lasts longer than nothing and at most 30m"),
        (("--for", "0s"), "a drill lasts longer than nothing and at most 30m"),
        (("--for", "soon"), "write a duration with its unit"),
        (("--window", "10-16"), 'write local hours like "10:00-16:00"'),
    ],
)
async def test_a_wish_nobody_can_grant_leaves_with_2(
    config: Path, prober: Prober, words: tuple[str, ...], why: str
) -> None:
    said = await prober("drill", "chat", *words)
    assert said.exit_code == 2
    assert why in said.output


async def test_refusals_leave_with_1_and_one_line(config: Path, prober: Prober) -> None:
    nobody = await prober("drill")
    assert nobody.exit_code == 1
    assert "no daemon answers on this machine" in nobody.output
    async with running(config) as daemon:
        await well(daemon)
        assert (await prober("pin", "a", "--for", "30m")).exit_code == 0
        await until(lambda: "pinned to a by" in daemon.judge.states["chat"].decision.reason)
        said = await prober("drill")
        assert said.exit_code == 1
        assert "chat is pinned by" in said.output
        assert len(said.output.strip().splitlines()) == 1
