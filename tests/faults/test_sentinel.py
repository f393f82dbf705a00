"""A master dies and a Sentinel makes another: with the last write, and without it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from prober.emulator import Emulator
from switch.flag import Op
from tests.faults.ledger import load
from tests.faults.scene import (
    KEYS,
    about_to_flip,
    answered,
    application,
    asked,
    daemons,
    epoch,
    events,
    primary,
    recorded,
    staying,
    verdict,
)
from tests.faults.sentinels import Group, group
from tests.support.stage import Hook, until


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Group]:
    with group(tmp_path) as made:
        yield made


def calls(server: Group, command: str, of: str = "calls") -> int:
    with server.client() as client:
        stats = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get(of, 0))


async def test_a_flip_that_was_replicated_outlives_its_master(
    tmp_path: Path, servers: Group, emulator: Emulator, oncall: Hook
) -> None:
    """Daemon and reader follow to the new one, and nothing is written twice or mended."""
    ledger = tmp_path / "ledger"
    path = staying(tmp_path, emulator, servers.url)
    async with daemons(ledger) as made, application(servers.url, ledger) as reader:
        await about_to_flip(made, path, servers, emulator)
        await until(servers.caught_up, "both replicas follow")
        waits = calls(servers, "wait")
        made.let_go(path)
        await until(lambda: primary(servers) == "b", "the flip")
        await until(lambda: calls(servers, "wait") == waits + 1, "it waits for a replica")
        before = events(servers)
        await until(servers.caught_up, "both have it")
        servers.kill(0)
        await servers.until_promoted()
        promoted_ms = now_ms(servers)
        await until(lambda: checked_at(servers) > promoted_ms, "the daemon beats on the new one")
        await until(lambda: listeners(servers) == 1, "the reader listens there")
        await until(lambda: reader.flag("chat").epoch == epoch(servers), "the reader knows")
        assert await made.stop(path) == 0
        assert reader.primary("chat") == "b"
        assert events(servers) == before
    assert len(asked(ledger)) == 1
    assert len(asked(ledger, Op.REPAIR)) == 0
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, servers, rows) == []


def now_ms(server: Group) -> int:
    with server.client() as client:
        seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def checked_at(server: Group) -> int:
    with server.client() as client:
        return int(client.hget(KEYS.state, "checked_at") or 0)


def listeners(server: Group) -> int:
    with server.client() as client:
        return int(client.pubsub_numsub(KEYS.changed)[0][1])


@pytest.mark.parametrize("replicas", ["were cut off", "were silent and crashed"])
async def test_a_flip_that_died_with_its_master_is_repaired_at_a_higher_epoch(
    replicas: str, tmp_path: Path, servers: Group, emulator: Emulator, oncall: Hook
) -> None:
    """Readers had seen it, and read the older one before the daemon does: they never go back."""
    ledger = tmp_path / "ledger"
    path = staying(tmp_path, emulator, servers.url)
    async with daemons(ledger) as made, application(servers.url, ledger) as reader:
        await about_to_flip(made, path, servers, emulator)
        await until(servers.caught_up, "both replicas follow")
        if replicas == "were cut off":
            servers.shut_replicas_out()
        else:
            save(servers)
            servers.freeze(*servers.replicas)
        made.let_go(path)
        await until(lambda: primary(servers) == "b", "the flip, on the master alone")
        lost = epoch(servers)
        await until(lambda: reader.flag("chat").epoch == lost, "the reader knows")
        (decision,) = asked(ledger)
        await until(lambda: answered(ledger, decision) == ["committed"], "so does the daemon")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "it is told")
        await until(lambda: shown(ledger, decision), "the daemon sees it in the stream")
        made.signal(path, signal.SIGSTOP)
        if replicas == "were silent and crashed":
            servers.kill(1, 2)
            servers.shut_replicas_out()
            servers.start(1)
            servers.start(2)
            await until(servers.replicas_seen, "the Sentinels know that they are back")
        servers.kill(0)
        await servers.until_promoted()
        reads = calls(servers, "hgetall")
        await until(lambda: calls(servers, "hgetall") > reads + 1, "the reader reads the old flag")
        assert primary(servers) == "a"
        made.signal(path, signal.SIGCONT)
        await until(lambda: primary(servers) == "b", "it is mended")
        assert epoch(servers) > lost
        await until(lambda: reader.flag("chat").epoch == epoch(servers), "the reader rises")
        await until(lambda: any("flag repaired to b" in t for t in oncall.titles), "it is told")
        assert await made.stop(path) == 0
        assert reader.primary("chat") == "b"
    assert [(e["op"], e["to"]) for e in events(servers)] == [("seed", "a"), ("repair", "b")]
    assert asked(ledger) == [decision]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert [row["op"] for row in rows] == ["seed", "auto", "repair"]
    assert verdict(ledger, servers, rows) == []


@pytest.mark.parametrize("wait", ["is in vain", "is forbidden"])
async def test_a_wait_for_replicas_neither_delays_nor_undoes_a_flip(
    wait: str, tmp_path: Path, servers: Group, emulator: Emulator, oncall: Hook
) -> None:
    """It ends before the call itself would be given up for unknown."""
    ledger = tmp_path / "ledger"
    path = staying(tmp_path, emulator, servers.url)
    async with daemons(ledger) as made, application(servers.url, ledger) as reader:
        await about_to_flip(made, path, servers, emulator)
        await until(servers.caught_up, "both replicas follow")
        waits, refusals = calls(servers, "wait"), calls(servers, "wait", "rejected_calls")
        if wait == "is in vain":
            servers.freeze(*servers.replicas)
        else:
            with servers.client() as client:
                client.execute_command("ACL", "SETUSER", "default", "-wait")
        made.let_go(path)
        await until(lambda: asked(ledger), "it is sent")
        (decision,) = asked(ledger)
        await until(lambda: answered(ledger, decision), "it is answered, or given up")
        assert answered(ledger, decision) == ["committed"]
        if wait == "is in vain":
            assert calls(servers, "wait") == waits + 1
            servers.thaw(*servers.replicas)
        else:
            assert calls(servers, "wait", "rejected_calls") == refusals + 1
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(servers), "the reader knows")
        await until(servers.caught_up, "the replicas have it in the end")
        assert await made.stop(path) == 0
        assert reader.primary("chat") == "b"
    assert asked(ledger) == [decision]
    assert [entry["to"] for entry in events(servers)] == ["a", "b"]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, servers, rows) == []


def shown(ledger: Path, decision: str) -> bool:
    lines = (line for line in load(ledger) if line["kind"] == "event")
    return any(line["decision"] == decision for line in lines)


def save(server: Group) -> None:
    for number in server.replicas:
        with server.at(number) as client:
            client.save()
