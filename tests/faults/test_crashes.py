"""Killed at every seam of a flip, the daemon comes back with nothing lost and nothing doubled."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from prober.emulator import Emulator
from prober.history.journal import decode
from prober.history.store import queries
from prober.web.control_socket import RefusedError, ask
from tests.faults.scene import (
    Daemons,
    application,
    daemons,
    epoch,
    events,
    primary,
    recorded,
    staying,
    verdict,
)
from tests.faults.victim import POINTS, RECOVERY
from tests.support.servers import Postgres, Valkey
from tests.support.stage import Hook, running, until, write_config


async def crash(path: Path, point: str, valkey: Valkey, emulator: Emulator, made: Daemons) -> int:
    """Runs until the daemon has killed itself at `point`; gives the epoch before the outage."""
    daemon = await made.start(path, die_at=point, deadline_ms=1_000)
    await until(lambda: primary(valkey) == "a" or not daemon.is_alive(), "the first flag")
    before = epoch(valkey)
    await asyncio.to_thread(valkey.back_up)
    emulator.set_faults(api="anthropic", error_share=1.0, status=529)
    await until(lambda: not daemon.is_alive(), f"it dies at {point}")
    assert daemon.exitcode == -9
    return before


async def forget(redis: str, valkey: Valkey) -> None:
    """A crash of Redis, and what it knows afterwards."""
    if redis != "redis intact":
        await asyncio.to_thread(valkey.stop)
        if redis == "redis empty":
            await asyncio.to_thread(valkey.start, empty=True)
        else:
            await asyncio.to_thread(valkey.restore)


@pytest.mark.parametrize("redis", ["redis intact", "redis old", "redis empty"])
@pytest.mark.parametrize("sql", ["sql up", "sql down"])
@pytest.mark.parametrize("point", POINTS)
async def test_one_flip_and_its_alert_survive_a_kill(
    point: str,
    sql: str,
    redis: str,
    tmp_path: Path,
    own_valkey: Valkey,
    postgresql: Postgres,
    emulator: Emulator,
    oncall: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever Redis still knows, and whether SQL was there or not."""
    database, ledger = f"t{uuid4().hex}", tmp_path / "ledger"
    monkeypatch.setenv("DATABASE", postgresql.url_of(database))
    if sql == "sql up":
        await asyncio.to_thread(postgresql.create, database)
    path = write_config(
        tmp_path / "prober.toml",
        emulator=emulator.url,
        redis=own_valkey.url,
        database="env",
        healthy_for="1h",
    )
    path.write_text(path.read_text().replace('min_span = "1s"', 'min_span = "300ms"'))
    async with daemons(ledger) as made, application(own_valkey.url, ledger) as reader:
        before = await crash(path, point, own_valkey, emulator, made)
        struck = epoch(own_valkey)
        await forget(redis, own_valkey)
        if sql == "sql down":
            await asyncio.to_thread(postgresql.create, database)
        async with running(path) as daemon:
            await until(lambda: primary(own_valkey) == "b", "the flag is where it belongs")
            assert epoch(own_valkey) >= struck
            assert epoch(own_valkey) > before
            await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
            await until(lambda: not daemon.outbox.unsent, "nothing is left to send")
            await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
            assert reader.primary("chat") == "b"
            assert await asyncio.to_thread(daemon.store.wait_written, 10)
            flips = await asyncio.to_thread(queries.flips, daemon.store.engine)
            incidents = await asyncio.to_thread(queries.incidents, daemon.store.engine)
            ids = [incident["id"] for incident in incidents]
            lines = await asyncio.to_thread(queries.incident_events, daemon.store.engine, ids)
    assert verdict(ledger, own_valkey, flips) == []
    assert sum(flip["op"] == "auto" for flip in flips) == 1, "one flip"
    if redis == "redis intact":
        assert [entry["to"] for entry in events(own_valkey)] == ["a", "b"], "one seed, one flip"
    assert len(incidents) == 1, "the incident is one, and it is not forgotten"
    story = Counter(line["kind"] for line in lines)
    for kind in ("suspect", "breached", "proven", "failed_over"):
        assert story[kind] == 1, f"the story has {kind} once"
    told_of = [line["sentence"] for line in lines if line["kind"] == "alert"]
    assert sum("failed over: a → b" in sentence for sentence in told_of) == 1
    told = sum("failed over: a → b" in title for title in oncall.titles)
    assert 1 <= told <= 2, "at least once; twice only when killed after delivery"
    if point != "delivery":
        assert told == 1


@pytest.mark.parametrize("redis", ["redis old", "redis empty"])
@pytest.mark.parametrize("point", RECOVERY)
async def test_killed_while_it_recovers_it_recovers_all_the_same(
    point: str, redis: str, tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """The flip was committed and told; Redis forgot it, and the daemon dies putting it back."""
    ledger = tmp_path / "ledger"
    path = staying(tmp_path, emulator, own_valkey.url)
    async with daemons(ledger) as made, application(own_valkey.url, ledger) as reader:
        await crash(path, "delivery", own_valkey, emulator, made)
        await forget(redis, own_valkey)
        again = await made.start(path, die_at=point, deadline_ms=1_000)
        await until(lambda: not again.is_alive(), f"it dies at {point}")
        assert again.exitcode == -9
        async with running(path) as daemon:
            await until(lambda: daemon.judge.states["chat"].primary == "b", "what was committed")
            await until(lambda: reader.primary("chat") == "b", "the reader knows")
            await until(lambda: not daemon.outbox.unsent, "nothing is left to send")
            assert await asyncio.to_thread(daemon.store.wait_written, 10)
    flips = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, flips) == []
    assert [flip["to_provider"] for flip in flips if flip["op"] == "auto"] == ["b"]
    assert sum("failed over: a → b" in title for title in oncall.titles) <= 2


async def test_learned_and_open_things_are_in_sql_after_a_kill(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(
        tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url, healthy_for="1h"
    )
    async with daemons(tmp_path / "ledger") as made:
        await crash(path, "incident", own_valkey, emulator, made)
    records, _ = decode((tmp_path / "journal").read_bytes())
    assert [r["provider"] for r in records if r["kind"] == "incident"] == ["a"]
    async with running(path) as daemon:
        assert [incident.provider for incident in daemon.incidents.open] == ["a"]
        assert await asyncio.to_thread(daemon.store.wait_written, 10)
    with sqlite3.connect(tmp_path / "prober.db") as connection:
        rows = connection.execute("select provider, closed_at from incident").fetchall()
    connection.close()
    assert rows[0][0] == "a"


async def test_killed_in_the_middle_of_a_drill_it_goes_back(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=own_valkey.url)
    async with daemons(tmp_path / "ledger") as made:
        await made.start(path)
        await until(lambda: primary(own_valkey) == "a", "the first flag")
        wish = {"route": "chat", "for_ms": "600000", "actor": "ann@desk"}
        for _ in range(40):
            try:
                await asyncio.to_thread(ask, tmp_path, "POST", "/drill", wish, 60.0)
                break
            except RefusedError:
                await asyncio.sleep(0.25)  # not all well yet
        assert primary(own_valkey) == "b"
    async with running(path) as again:
        memory = again.judge.states["chat"].memory
        await until(lambda: memory.drilled is not None and memory.drilled.result == "cut")
        assert primary(own_valkey) == "a"
        await until(lambda: any("chat drill over: b → a" in t for t in oncall.titles))
    told = sum("chat drill: a → b" in title for title in oncall.titles)
    assert 1 <= told <= 2, "twice when it was killed before it could write that it was sent"
