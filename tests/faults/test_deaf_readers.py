"""Readers that are cut off, thrown out or lied to: they rise to the newest flag, and never sink."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio

from prober.emulator import Emulator
from switch.cached_flag import ANNOUNCED
from tests.faults.ledger import load
from tests.faults.scene import (
    KEYS,
    about_to_flip,
    application,
    asked,
    by_hand,
    daemons,
    epoch,
    events,
    primary,
    recorded,
    staying,
    verdict,
)
from tests.support.servers import Valkey
from tests.support.stage import Hook, until
from tests.switch.proxy import Proxy


@pytest.mark.parametrize("network", ["holds everything back", "has forgotten its connections"])
async def test_a_reader_that_was_cut_off_goes_straight_to_the_newest_flag(
    network: str, tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Two flips pass it by; the old answers and messages that arrive afterwards change nothing."""
    ledger = tmp_path / "ledger"
    async with (
        Proxy.before(own_valkey.socket) as proxy,
        daemons(ledger) as made,
        application(proxy.url, ledger) as reader,
    ):
        path = staying(tmp_path, emulator, own_valkey.url)
        await made.start(path)
        await until(lambda: reader.flag("chat").epoch > 0, "the reader knows the first flag")
        if network == "holds everything back":
            proxy.hold()
        else:
            proxy.silence()
        first = reader.flag("chat").epoch
        await by_hand(own_valkey.url, "b")
        newest = await by_hand(own_valkey.url, "a")
        if network == "holds everything back":
            await until(lambda: reader.flag("chat").stale, "it says that it hears nothing")
            assert (reader.primary("chat"), reader.flag("chat").epoch) == ("a", first)
            proxy.heal()
        await until(lambda: reader.flag("chat").epoch == newest.epoch, "the reader rises")
        await by_hand(own_valkey.url, "b")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "and again")
        await until(lambda: reader.primary("chat") == "b")
        await until(lambda: journaled(ledger) == 4, "the daemon has adopted all of it")
        await made.stop_all()
    served = [line["epoch"] for line in load(ledger) if line["kind"] == "read"]
    assert len(set(served) & {first, newest.epoch, epoch(own_valkey)}) == 3
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []
    assert primary(own_valkey) == "b"


async def test_a_reader_whose_subscription_is_killed_over_and_over_misses_no_flip(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Not even those of which nobody was told: it reads whenever it has subscribed again."""
    ledger = tmp_path / "ledger"
    async with daemons(ledger) as made, application(own_valkey.url, ledger, poll_s=600) as reader:
        path = staying(tmp_path, emulator, own_valkey.url)
        await made.start(path)
        await until(lambda: reader.flag("chat").epoch > 0, "the reader knows the first flag")
        untold, providers = 0, ["a"]
        async with killing(own_valkey):
            while untold < 3:
                await until(lambda: listeners(own_valkey) == 0, "nobody listens")
                providers.append("b" if providers[-1] == "a" else "a")
                answer = await by_hand(own_valkey.url, providers[-1])
                untold += answer.told == 0
                await until(lambda e=answer.epoch: reader.flag("chat").epoch == e, "it knows")
                assert reader.primary("chat") == providers[-1]
        await until(lambda: journaled(ledger) == len(providers), "the daemon has adopted all")
        await made.stop_all()
    assert [entry["to"] for entry in events(own_valkey)] == providers
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []
    assert primary(own_valkey) == providers[-1]


def journaled(ledger: Path) -> int:
    return len({line["decision"] for line in load(ledger) if line["kind"] == "done"})


@asynccontextmanager
async def killing(valkey: Valkey) -> AsyncIterator[None]:
    """Throws every subscriber out, fifty times a second."""
    over = asyncio.Event()

    async def kill() -> None:
        async with redis.asyncio.Redis(unix_socket_path=str(valkey.socket)) as client:
            while not over.is_set():
                await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await asyncio.sleep(0.02)

    task = asyncio.create_task(kill())
    try:
        yield
    finally:
        # Not by a cancellation, which redis-py can swallow.
        over.set()
        await task


def listeners(valkey: Valkey) -> int:
    with valkey.client() as client:
        return int(client.pubsub_numsub(KEYS.changed)[0][1])


FORGED = 10**15
JUNK = (
    b"",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"[" * 100_000,
    b'{"provider": "b"}',
    b'{"provider": "b", "epoch": true, "decision_id": "x"}',
    b'{"provider": "b", "epoch": 1e400, "decision_id": "x"}',
    b'{"provider": "b", "epoch": ' + b"9" * 5_000 + b', "decision_id": "x"}',
    b'{"provider": "c", "epoch": 1000000000000001, "decision_id": "x"}',
    b'{"provider": "<b>", "epoch": 1000000000000001, "decision_id": "x"}',
    b'{"provider": "' + b"b" * 4_000_000 + b'", "epoch": 1000000000000001, "decision_id": "x"}',
)


async def test_forged_messages_are_taken_back_and_no_flip_is_missed_for_them(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """In the middle of a flip: one that is believed for a moment, junk around the true one."""
    ledger = tmp_path / "ledger"
    async with daemons(ledger) as made, application(own_valkey.url, ledger) as reader:
        path = staying(tmp_path, emulator, own_valkey.url)
        await about_to_flip(made, path, own_valkey, emulator)
        await until(lambda: reader.fallbacks("chat") == ("b",), "the reader knows who b is")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "and the flag")
        await lie(own_valkey, "b", FORGED)
        await until(lambda: reader.primary("chat") == "b", "the reader believes it")
        assert reader.flag("chat").reason == ANNOUNCED
        believed_s = time.monotonic()
        await until(lambda: reader.primary("chat") == "a", "and takes it back")
        assert time.monotonic() - believed_s < 2 + 1, "within 2 s, and this machine's slowness"
        await publish(own_valkey, *JUNK)
        made.let_go(path)
        await publish(own_valkey, *JUNK)
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey) > 0, "the true one")
        await until(lambda: reader.primary("chat") == "b")
        await lie(own_valkey, "a", FORGED + 1)
        await lie(own_valkey, "a", 1)
        await until(lambda: reader.primary("chat") == "a", "believed again")
        await until(lambda: reader.primary("chat") == "b", "and taken back")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await made.stop_all()
    assert len(asked(ledger)) == 1
    reads = [line for line in load(ledger) if line["kind"] == "read"]
    assert {line["epoch"] for line in reads} == {
        int(entry["epoch"]) for entry in events(own_valkey)
    }
    believed = [line["provider"] for line in reads if not line["confirmed"]]
    assert set(believed) <= {"a", "b"}
    assert [entry["to"] for entry in events(own_valkey)] == ["a", "b"]
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []


async def lie(valkey: Valkey, provider: str, epoch: int) -> None:
    said = {"provider": provider, "epoch": epoch, "decision_id": "forged"}
    await publish(valkey, json.dumps(said).encode())


async def publish(valkey: Valkey, *messages: bytes) -> None:
    async with redis.asyncio.Redis(unix_socket_path=str(valkey.socket)) as client:
        for message in messages:
            await client.publish(KEYS.changed, message)
