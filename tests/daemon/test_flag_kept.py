"""The daemon and the flag: other hands, lost data, and a Redis that is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prober.emulator import Emulator
from prober.web.control_socket import ask
from switch import AsyncReader
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

PRIMARY, STATE, PIN = "prober:{chat}:primary", "prober:{chat}:state", "prober:{chat}:pin"


def get(valkey: Valkey, key: str = PRIMARY) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get(key)
        return found


def epoch(valkey: Valkey) -> int:
    with valkey.client() as client:
        return int(client.hget(STATE, "epoch") or 0)


def put(valkey: Valkey, provider: str) -> None:
    with valkey.client() as client:
        client.set(PRIMARY, provider)


async def test_redis_absent_at_start_delays_only_the_flag(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    own_valkey.stop()
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url)
    async with running(path) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: state.trackers["a"].last is not None, "it probes")
        await until(lambda: "Redis cannot be read" in state.decision.reason, "it says so")
        await asyncio.to_thread(own_valkey.start, empty=True)
        await until(lambda: get(own_valkey) == "a", "the flag appears with Redis")


async def test_alerts_of_the_journal_are_sent_while_redis_is_away(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """SQL gone too: what an earlier run could not deliver waits for neither."""
    oncall.status = 500
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(own_valkey) == "a")
        await until(lambda: daemon.outbox.unsent and oncall.refused > 0, "refused")
    own_valkey.stop()
    (tmp_path / "prober.db").unlink()
    oncall.status = 200
    async with running(path) as daemon:
        await until(lambda: any("first flag set to a" in t for t in oncall.titles))
        assert not daemon.judge.states["chat"].reads
        await until(lambda: daemon.judge.states["chat"].trackers["a"].last, "and it probes")


async def test_an_emptied_redis_gets_its_flag_back_at_a_higher_epoch(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url)
    async with running(path), AsyncReader(own_valkey.url, {"chat": "b"}) as reader:
        await until(lambda: reader.flag("chat").epoch > 0)
        before = epoch(own_valkey)
        await asyncio.to_thread(own_valkey.stop)
        assert reader.primary("chat") == "a"
        await asyncio.to_thread(own_valkey.start, empty=True)
        await until(lambda: epoch(own_valkey) > before, "it is seeded again")
        assert get(own_valkey) == "a"
        await until(lambda: reader.flag("chat").epoch > before, "readers follow")
        await until(lambda: any("flag set again to a" in t for t in oncall.titles))


async def test_a_flag_set_by_hand_is_adopted_as_a_pin_for_an_hour(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        before = epoch(valkey)
        put(valkey, "b")
        await until(lambda: epoch(valkey) > before, "it is taken over")
        with valkey.client() as client:
            assert client.hget(STATE, "provider") == "b"
            pin = client.hgetall(PIN)
            seconds = int(pin["until_ms"]) / 1000 - client.time()[0]
        assert pin["provider"] == "b"
        assert 3500 < seconds <= 3601
        await until(lambda: any("set the flag by hand to b" in t for t in oncall.titles))
        await until(lambda: "pinned to b" in daemon.judge.states["chat"].decision.reason)


async def test_a_hand_set_name_that_may_not_serve_is_put_back(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        await until(lambda: get(valkey) == "a")
        put(valkey, "nobody-knows")
        await until(lambda: get(valkey) == "a", "it is put back")
        await until(lambda: any("by hand to nobody-knows" in t for t in oncall.titles))


async def test_a_pin_holds_against_an_outage_and_says_what_it_costs(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        put(valkey, "b")
        await until(lambda: "pinned to b" in daemon.judge.states["chat"].decision.reason)
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(lambda: any("pinned to b, which is failing" in t for t in oncall.titles))
        assert get(valkey) == "b"


async def test_all_bad_stays_and_pages_then_leaves_once_one_passes(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        await until(lambda: get(valkey) == "a")
        before = epoch(valkey)
        emulator.set_faults(api="*", error_share=1.0, status=503)
        await until(lambda: any("FAILING, NO FAILOVER" in t for t in oncall.titles))
        assert (get(valkey), epoch(valkey)) == ("a", before)
        emulator.reset()
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: get(valkey) == "b", "it leaves as soon as it can")


async def test_a_dead_primary_is_left_for_one_that_has_only_just_recovered(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, healthy_for="10m"
    )
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: get(valkey) == "b")
        emulator.reset()
        breach = daemon.judge.states["chat"].trackers["a"].breach
        await until(
            lambda: not breach.latched, "a has recovered, and may not serve for ten minutes"
        )
        emulator.set_faults(api="openai", error_share=1.0, status=503)
        await until(lambda: get(valkey) == "a", "the way out is taken all the same")
        await until(lambda: any("chat failed over: b → a" in t for t in oncall.titles))
    letter = next(one for one in oncall.letters if "b → a" in one["title"])
    assert "a is the last resort" in letter["message"]
    assert "Stays here: a comes first." in letter["message"]


async def test_mode_observe_writes_nothing_at_all(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, mode="observe"
    )
    async with running(path) as daemon:
        state = daemon.judge.states["chat"]
        await until(lambda: state.primary == "a", "it decides on a virtual flag")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: state.primary == "b", "and moves that one")
        with valkey.client() as client:
            assert client.keys("*") == []


async def test_mode_propose_asks_and_obeys_people(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url, mode="propose"
    )
    async with running(path):
        await until(lambda: get(valkey) == "a", "it seeds")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: any("I would fail over to b" in t for t in oncall.titles))
        letter = next(one for one in oncall.letters if "I would fail over" in one["title"])
        assert "prober failover b --route chat" in letter["message"]
        assert get(valkey) == "a"


async def test_a_redis_that_might_lose_the_flag_is_told_of_at_start(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    with own_valkey.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url)
    async with running(path) as daemon:
        await until(lambda: daemon.keeping.found, "it is seen")
        said = await asyncio.to_thread(ask, tmp_path, "GET", "/status")
    (danger,) = said["redis_dangers"]
    assert "may evict the flag (maxmemory-policy allkeys-lru)" in danger
