"""Redis stands still between the intent and the script: the write arrives, but late."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prober.emulator import Emulator
from switch.flag import Op
from tests.faults.scene import (
    about_to_flip,
    answered,
    application,
    asked,
    daemons,
    deadline_of,
    epoch,
    evaluations,
    events,
    primary,
    recorded,
    staying,
    verdict,
)
from tests.support.servers import Valkey
from tests.support.stage import Hook, until


@contextmanager
def frozen(valkey: Valkey) -> Iterator[None]:
    os.kill(valkey.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(valkey.process.pid, signal.SIGCONT)


async def test_a_write_that_arrives_after_its_deadline_is_refused_and_decided_anew(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Nothing else could refuse it: the lease is still held, and the epoch is the expected one."""
    ledger = tmp_path / "ledger"
    path = staying(tmp_path, emulator, own_valkey.url)
    async with daemons(ledger) as made, application(own_valkey.url, ledger) as reader:
        await about_to_flip(made, path, own_valkey, emulator, deadline_ms=1500)
        with frozen(own_valkey):
            made.let_go(path)
            await until(lambda: len(asked(ledger)) == 1, "it is sent")
            (late,) = asked(ledger)
            await until(lambda: answered(ledger, late) == ["unknown"], "it is not answered")
            deadline_ms = deadline_of(ledger, late)
            await until(lambda: time.time() * 1000 > deadline_ms + 1, "its time is over")
            assert reader.primary("chat") == "a"
        await until(lambda: primary(own_valkey) == "b", "another decision")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        assert await made.stop(path) == 0
    assert evaluations(own_valkey) == len(asked(ledger, *Op)), "the late one came too"
    first, second = events(own_valkey)
    assert (first["to"], second["to"]) == ("a", "b")
    assert second["decision_id"] == asked(ledger)[-1] != late
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert verdict(ledger, own_valkey, rows) == []


@pytest.mark.parametrize("daemon", ["lives", "is killed"])
async def test_a_write_that_arrives_before_its_deadline_is_found_done_and_told_once(
    daemon: str, tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """By the daemon that sent it, or by the one after that."""
    ledger = tmp_path / "ledger"
    path = staying(tmp_path, emulator, own_valkey.url)
    async with daemons(ledger) as made, application(own_valkey.url, ledger) as reader:
        await about_to_flip(made, path, own_valkey, emulator, deadline_ms=30_000)
        with frozen(own_valkey):
            made.let_go(path)
            await until(lambda: len(asked(ledger)) == 1, "it is sent")
            (late,) = asked(ledger)
            await until(lambda: answered(ledger, late) == ["unknown"], "it is not answered")
            if daemon == "is killed":
                await made.kill(path)
        await until(lambda: primary(own_valkey) == "b", "it landed")
        if daemon == "is killed":
            await made.start(path)
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        assert await made.stop(path) == 0
    assert asked(ledger) == [late]
    assert [(e["to"], e["decision_id"] == late) for e in events(own_valkey)] == [
        ("a", False),
        ("b", True),
    ]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, path)
    assert [row["decision_id"] == late for row in rows] == [False, True]
    assert verdict(ledger, own_valkey, rows) == []
