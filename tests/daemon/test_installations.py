"""Two installations that meet: in one PostgreSQL, one state folder, one Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from redis.exceptions import NoPermissionError
from typer.testing import CliRunner

from prober.cli.app import app
from prober.emulator import Emulator
from prober.failover import identity
from prober.failover.identity import Identity
from prober.history.installation import Folder
from prober.history.store import queries
from switch.connect import connect_async
from switch.control.writer import FlagWriter
from switch.flag import Keys
from tests.support.servers import Postgres, Valkey
from tests.support.stage import Hook, running, until, write_config

KEYS = Keys("chat")


def get(valkey: Valkey, key: str = KEYS.primary) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get(key)
        return found


def written(folder: Path, emulator: Emulator, redis: str, **more: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "prober.toml"
    return write_config(path, emulator=emulator.url, redis=redis, **more)


async def adopt(*words: str) -> str:
    done = await asyncio.to_thread(CliRunner().invoke, app, ["adopt", *words])
    assert done.exit_code == 0, done.output
    return done.output


async def test_staging_and_production_on_one_postgresql_see_nothing_of_each_other(
    tmp_path: Path, valkey: Valkey, own_valkey: Valkey, postgresql: Postgres, emulator: Emulator,
    oncall: Hook, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    name = f"t{uuid4().hex}"
    postgresql.create(name)
    monkeypatch.setenv("DATABASE", postgresql.url_of(name))
    production = written(tmp_path / "p", emulator, valkey.url, database="env")
    staging = written(
        tmp_path / "s", emulator, own_valkey.url, database="env", candidates='["b", "a"]'
    )
    async with running(production) as one:
        await until(lambda: get(valkey) == "a")
        async with running(staging) as two:
            await until(lambda: get(own_valkey) == "b")
            for daemon, served in ((one, "a"), (two, "b")):
                told = f"first flag set to {served}"
                await until(lambda told=told: any(told in t for t in oncall.titles), told)
                assert await asyncio.to_thread(daemon.store.wait_written, 20)
                flips = await asyncio.to_thread(queries.flips, daemon.store.engine)
                assert {row["to_provider"] for row in flips} == {served}
            known = await asyncio.to_thread(queries.installations, one.store.engine)
            assert known == [one.identity.id, two.identity.id]
    # What the other flipped is newer: it is not restored, nor told.
    oncall.letters.clear()
    async with running(production) as one:
        await until(lambda: one.judge.states["chat"].leased)
        memory = one.judge.states["chat"].memory.flip
        assert memory is not None
        assert memory.to_provider == "a"
        assert get(valkey) == "a"
    assert oncall.titles == []


async def test_another_configuration_with_this_state_folder_holds_until_it_is_adopted(
    tmp_path: Path, valkey: Valkey, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """The fresh Redis of a second `prober run` gets no flag of an older, other configuration."""
    path = written(tmp_path, emulator, valkey.url, candidates='["b", "a"]')
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "b")
        id = daemon.identity.id
    written(tmp_path, emulator, own_valkey.url, candidates='["a"]')
    journal = (tmp_path / "journal").read_bytes()
    async with running(path) as daemon:
        await until(lambda: daemon.judge.states["chat"].trackers["a"].last, "it probes")
        await until(lambda: any("HOLDS: not one installation" in t for t in oncall.titles))
        status = await asyncio.to_thread(CliRunner().invoke, app, ["status", "-c", str(path)])
        assert status.exit_code == 1
        assert "belongs to installation" in status.output
        assert "prober adopt folder" in status.output
        decision = daemon.judge.states["chat"].decision
        assert "which bears no installation" in decision.reason
        with own_valkey.client() as client:
            assert client.keys("*") == []
        assert (tmp_path / "journal").read_bytes() == journal
        said = await adopt("folder", "--yes", "-c", str(path))
        assert f"belongs to installation {id[:8]} now" in said
        await until(lambda: get(own_valkey) == "a", "the flag moves there")
        assert get(own_valkey, KEYS.installation) == id
        assert daemon.identity.id == id
        await until(lambda: daemon.identity.held is None)


async def test_a_folder_that_joins_another_redis_puts_aside_what_it_knew(
    tmp_path: Path, valkey: Valkey, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = written(tmp_path / "p", emulator, valkey.url)
    other = written(tmp_path / "o", emulator, own_valkey.url, candidates='["b", "a"]')
    for config, server in ((path, valkey), (other, own_valkey)):
        async with running(config):
            await until(lambda server=server: get(server) is not None)
    theirs = get(own_valkey, KEYS.installation)
    written(tmp_path / "p", emulator, own_valkey.url)
    async with running(path) as daemon:
        assert daemon.identity.held is not None
        assert str(theirs)[:8] in daemon.identity.held.why
        refused = await asyncio.to_thread(
            CliRunner().invoke, app, ["adopt", "redis", "--yes", "-c", str(path)]
        )
        assert refused.exit_code == 1, "a daemon uses the folder"
    await adopt("redis", "--yes", "-c", str(path))
    (aside,) = (tmp_path / "p").glob("aside-*")
    assert (aside / "journal").stat().st_size > 0
    async with running(path) as daemon:
        await until(lambda: daemon.judge.states["chat"].leased)
        assert (daemon.identity.held, daemon.identity.id) == (None, theirs)
        assert get(own_valkey) == "b", "its flag stands"


async def test_a_redis_that_turns_into_anothers_while_we_run_is_left_alone(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = written(tmp_path, emulator, own_valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(own_valkey) == "a")
        id = daemon.identity.id
        with own_valkey.client() as client:
            client.set(KEYS.installation, "2" * 32)
        await until(lambda: any("HOLDS" in t for t in oncall.titles))
        checked = own_valkey.client().hget(KEYS.state, "checked_at")
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await until(lambda: daemon.judge.incidents.open, "it goes on judging")
        assert "belongs to installation 22222222" in daemon.judge.states["chat"].decision.reason
        assert own_valkey.client().hget(KEYS.state, "checked_at") == checked
        assert get(own_valkey) == "a", "and writes nothing"
        with own_valkey.client() as client:
            client.set(KEYS.installation, id)
        await until(lambda: get(own_valkey) == "b", "it goes on where it was")


async def test_an_emptied_redis_gets_its_name_back_and_a_lost_folder_takes_it(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    first = written(tmp_path / "1", emulator, own_valkey.url)
    async with running(first) as daemon:
        await until(lambda: get(own_valkey) == "a")
        id = daemon.identity.id
    with own_valkey.client() as client:
        client.flushall()
    async with running(first) as daemon:
        await until(lambda: get(own_valkey) == "a", "recovered")
        assert get(own_valkey, KEYS.installation) == daemon.identity.id == id
    second = written(tmp_path / "2", emulator, own_valkey.url)
    async with running(second) as daemon:
        assert daemon.identity.id == id
        said = await asyncio.to_thread(identity.read, tmp_path / "2", ())
        assert said.id == id


@pytest.mark.parametrize("holds", [True, False], ids=["an upgrade", "all fresh"])
async def test_vantages_that_start_at_once_agree_on_one_id(
    holds: bool, tmp_path: Path, valkey: Valkey
) -> None:
    """None has one: whoever names Redis first gives it to all."""
    if holds:
        with valkey.client() as client:
            client.hset(KEYS.state, "epoch", "7")
    clients = [connect_async(valkey.url, timeout_s=5.0) for _ in range(8)]
    vantages = []
    for number, client in enumerate(clients):
        folder = Folder(str(tmp_path / str(number)), holds=holds)
        vantages.append(
            Identity(folder, "here", FlagWriter(client), "prober", lambda: [KEYS], writes=True)
        )
    await asyncio.gather(*(one.begin() for one in vantages))
    assert {one.id for one in vantages} == {get(valkey, KEYS.installation)}
    for number in range(8):
        said = await asyncio.to_thread(identity.read, tmp_path / str(number), ())
        assert (said.id, said.place) == (vantages[0].id, "here")
    for client in clients:
        await client.aclose()


async def test_rights_granted_before_there_was_the_key_stop_no_flag_and_are_told(
    tmp_path: Path,
    own_valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with own_valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "old", "on", ">pw", "~prober:{*}:*", "&*", "+@all")
    url = f"unix://old:pw@{own_valkey.socket}"
    probe = connect_async(url, timeout_s=2.0)
    with pytest.raises(NoPermissionError):
        await probe.get(KEYS.installation)
    await probe.aclose()
    monkeypatch.setenv("REDIS", url)
    path = written(tmp_path, emulator, "REDIS")
    path.write_text(path.read_text().replace('url = "REDIS"', 'url = { env = "REDIS" }'))
    async with running(path) as daemon:
        await until(lambda: get(own_valkey) == "a", "the flag is set all the same")
        assert "grant it" in daemon.identity.unreadable
        assert not daemon.store.up, "history waits"
        with own_valkey.client() as client:
            client.execute_command("ACL", "SETUSER", "old", "~prober:installation")
        await until(lambda: daemon.store.up, "and is written as soon as it is granted")
        assert get(own_valkey, KEYS.installation) == daemon.identity.id
        assert daemon.identity.unreadable == ""
