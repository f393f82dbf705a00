"""Drills on a whole daemon: away, watched, and back; whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from prober.daemon.daemon import Daemon
from prober.daemon.operator_api import OperatorApi
from prober.emulator import Emulator
from prober.history.store import queries
from prober.probing.pacing import Purpose
from prober.web.control_socket import RefusedError
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

LONG_MS = 600_000


def get(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


@pytest.fixture
def config(tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook) -> Path:
    return write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)


async def drill(daemon: Daemon, for_ms: int, **more: str) -> dict[str, Any]:
    wish = {"route": "chat", "for_ms": str(for_ms), "actor": "ann@desk", **more}
    return await OperatorApi(daemon).drill(wish)


@asynccontextmanager
async def served_by_a(path: Path, valkey: Valkey) -> AsyncIterator[Daemon]:
    async with running(path) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: state.primary == "a" and all_well(daemon))
        yield daemon


def all_well(daemon: Daemon) -> bool:
    now_s = daemon.clock.mono()
    trackers = daemon.judge.states["chat"].trackers.values()
    return all(tracker.health(now_s)[0] == "ok" for tracker in trackers)


def last(daemon: Daemon) -> Any:
    return daemon.judge.states["chat"].memory.drilled


async def test_a_drill_goes_away_and_comes_back_and_is_no_automatic_flip(
    config: Path, valkey: Valkey, oncall: Hook
) -> None:
    async with served_by_a(config, valkey) as daemon:
        state = daemon.judge.states["chat"]
        begun = await drill(daemon, 1500)
        assert (begun["from"], begun["to"]) == ("a", "b")
        assert begun["proof"].startswith("4 of 4")
        assert get(valkey) == "b"
        # As fast as each other, whether as a watch or already as the way back's proof.
        for name in "ab":
            await until(
                lambda name=name: daemon.schedule.describe(name).endswith(
                    (f"({Purpose.WATCH})", f"({Purpose.PROOF})")
                )
            )
        await until(lambda: get(valkey) == "a" and state.drill is None)
        told = last(daemon)
        assert (told.result, told.provider, told.by) == ("carried", "b", "ann@desk")
        assert 1.5 <= told.lasted_s < 20
        assert state.frozen_until == 0
        assert state.seen is not None
        assert not any(flip.automatic for flip in state.seen.flips)
        await until(lambda: any("drill over: b → a" in t for t in oncall.titles))
        assert any("chat drill: a → b" in t for t in oncall.titles)
        await asyncio.to_thread(daemon.store.wait_written, 10)
        flips = await asyncio.to_thread(queries.flips, daemon.store.engine)
        assert [(f["op"], f["actor"], f["to_provider"]) for f in flips[:2]] == [
            ("manual", "drill of ann@desk", "a"),
            ("manual", "drill of ann@desk", "b"),
        ]
        assert flips[0]["evidence"]["drill"] == flips[1]["evidence"]["drill"] == begun["drill"]
        remembered = await asyncio.to_thread(queries.last_drill, daemon.store.engine, "chat")
        assert [one.to_provider for one in remembered] == ["b", "a"]


async def test_it_goes_back_at_once_when_the_fallback_turns_bad(
    config: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    async with served_by_a(config, valkey) as daemon:
        await drill(daemon, LONG_MS)
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(lambda: last(daemon).result is not None, "long before its time is over")
        assert get(valkey) == "a"
        assert last(daemon).result == "failed"
        await until(lambda: any("drill FAILED: b → a" in t for t in oncall.titles))


async def test_a_restart_in_the_middle_goes_back(
    config: Path, valkey: Valkey, oncall: Hook
) -> None:
    async with served_by_a(config, valkey) as daemon:
        await drill(daemon, LONG_MS)
    assert get(valkey) == "b", "stopping moves nothing"
    async with running(config) as daemon:
        await until(lambda: last(daemon).result is not None, "the next run goes back")
        assert get(valkey) == "a"
        assert (last(daemon).result, last(daemon).why) == ("cut", "the daemon restarted")


async def test_a_restart_goes_back_only_onto_a_proven_home(
    config: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    async with served_by_a(config, valkey) as daemon:
        await drill(daemon, LONG_MS)
    emulator.set_faults(api="anthropic", error_share=1.0, status=529)
    async with running(config) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: bool(state.trackers["a"].breach.latched))
        assert get(valkey) == "b"
        assert state.drill is not None
        emulator.set_faults(api="anthropic", ttft_s=0.001)
        await until(lambda: get(valkey) == "a", "once it has recovered and is proven")


async def test_the_last_drill_is_known_from_sql_when_the_journal_is_gone(
    config: Path, valkey: Valkey, tmp_path: Path
) -> None:
    async with served_by_a(config, valkey) as daemon:
        await drill(daemon, 300)
        await until(lambda: get(valkey) == "a")
        await asyncio.to_thread(daemon.store.wait_written, 10)
    (tmp_path / "journal").unlink()
    with valkey.client() as client:
        client.flushall()
    async with running(config) as daemon:
        assert last(daemon).result == "carried"


async def test_a_dry_run_proves_and_moves_nothing(config: Path, valkey: Valkey) -> None:
    async with served_by_a(config, valkey) as daemon:
        said = await drill(daemon, 1000, dry_run="true")
        assert said["dry_run"] is True
        assert said["proof"].startswith("4 of 4")
        assert (get(valkey), daemon.judge.states["chat"].drill) == ("a", None)


async def test_a_fallback_that_cannot_be_proven_refuses_the_drill(
    config: Path, valkey: Valkey, emulator: Emulator
) -> None:
    async with served_by_a(config, valkey) as daemon:
        emulator.set_faults(api="openai", length_share=1.0)
        tracker = daemon.judge.states["chat"].trackers["b"]
        await until(lambda: not tracker.proven(daemon.clock.mono()))
        with pytest.raises(RefusedError, match=r"b is not proven .*chat stays on a"):
            await drill(daemon, 1000)
        assert get(valkey) == "a"


async def test_a_pause_an_incident_and_a_second_drill_refuse_one(
    config: Path, valkey: Valkey, emulator: Emulator
) -> None:
    async with served_by_a(config, valkey) as daemon:
        daemon.judge.paused = True
        with pytest.raises(RefusedError, match="automation is paused"):
            await drill(daemon, 1000)
        daemon.judge.paused = False
        await drill(daemon, LONG_MS)
        with pytest.raises(RefusedError, match="a drill of chat is under way, by ann@desk"):
            await drill(daemon, 1000)
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(lambda: get(valkey) == "a")
        await until(lambda: daemon.incidents.find("chat", "b") is not None)
        with pytest.raises(RefusedError, match=r"incident \d+ of chat is open"):
            await drill(daemon, 1000)


async def test_a_drill_whose_both_ends_fail_leaves_the_rest_to_the_normal_rules(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    more = f'\n[[provider]]\nname = "c"\napi = "ollama"\nmodel = "m"\nbase_url = "{emulator.url}"\n'
    path = write_config(
        tmp_path / "prober.toml",
        emulator=emulator.url,
        redis=valkey.url,
        candidates='["a", "b", "c"]',
        more=more,
    )
    async with served_by_a(path, valkey) as daemon:
        await drill(daemon, LONG_MS)
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: bool(daemon.judge.states["chat"].trackers["a"].breach.latched))
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(lambda: get(valkey) == "c", "an ordinary failover")
        await until(lambda: daemon.judge.states["chat"].drill is None, "the drill is over")
        await until(lambda: any("failed over: b → c" in t for t in oncall.titles))
        await until(lambda: last(daemon).result is not None)
        assert last(daemon).result == "failed"
        await asyncio.to_thread(daemon.store.wait_written, 10)
        number = next(i.number for i in daemon.incidents.open if i.provider == "b")
        incident = await asyncio.to_thread(queries.incident, daemon.store.engine, number)
        assert incident is not None
        lines = await asyncio.to_thread(
            queries.incident_events, daemon.store.engine, [incident["id"]]
        )
        assert "b served chat for a drill (drill of ann@desk)" in [x["sentence"] for x in lines]
