"""Three daemon processes; the one that holds the lease freezes in the middle of a flip, or dies."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from prober.emulator import Emulator
from prober.history.journal import decode
from tests.faults.ledger import load
from tests.faults.scene import (
    application,
    asked,
    daemons,
    epoch,
    events,
    primary,
    recorded,
    verdict,
)
from tests.faults.vantages import NAMES, TTL_S, all_vote, configured, leader, others
from tests.faults.victim import held
from tests.support.servers import Valkey
from tests.support.stage import Hook, until


def kinds(path: Path, decision: str) -> list[str]:
    """What a vantage's journal has of one decision."""
    records, _ = decode((path.parent / "journal").read_bytes())
    return [record["kind"] for record in records if record.get("decision_id") == decision]


@pytest.mark.parametrize("heir", ["is about to write", "has written"])
async def test_a_leader_frozen_past_its_lease_wakes_and_its_write_is_refused(
    heir: str,
    tmp_path: Path,
    own_valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    database: str,
) -> None:
    """Frozen between intent and script. Before its heir has written, only the lease refuses it:
    its deadline is far away and the epoch is the one it expects."""
    ledger = tmp_path / "ledger"
    paths = configured(tmp_path, emulator, dict.fromkeys(NAMES, own_valkey.url))
    async with daemons(ledger) as made, application(own_valkey.url, ledger) as reader:
        await all_vote(made, paths, own_valkey, hold_at="intent", deadline_ms=60_000)
        first = leader(own_valkey)
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await made.until_held(paths[first])
        made.signal(paths[first], signal.SIGSTOP)
        made.let_go(paths[first])
        await until(lambda: any(held(paths[name]).exists() for name in others(first)), "an heir")
        second = next(name for name in others(first) if held(paths[name]).exists())
        assert leader(own_valkey) == second
        assert primary(own_valkey) == "a"
        if heir == "has written":
            made.let_go(paths[second])
            await until(lambda: primary(own_valkey) == "b", "it flips")
        made.signal(paths[first], signal.SIGCONT)
        await until(lambda: refused(ledger, first), "the woken one is refused")
        if heir == "is about to write":
            assert primary(own_valkey) == "a"
            made.let_go(paths[second])
            await until(lambda: primary(own_valkey) == "b", "the heir flips")
        (decision,) = (e["decision_id"] for e in events(own_valkey) if e["to"] == "b")
        await until(lambda: "done" in kinds(paths[first], decision), "the woken one follows")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        assert leader(own_valkey) == second
        await made.stop_all()
    assert refused(ledger, first) == ["not_leader"]
    assert [entry["to"] for entry in events(own_valkey)] == ["a", "b"]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, database)
    assert verdict(ledger, own_valkey, rows) == []


def refused(ledger: Path, name: str) -> list[str]:
    """What the script told a vantage when it would not flip."""
    lines = [line for line in load(ledger) if line["who"] == name and line["kind"] == "answer"]
    return [line["status"] for line in lines if line["status"] != "committed"]


async def test_a_leader_killed_in_a_flip_is_followed_within_one_lease_and_comes_back_as_another(
    tmp_path: Path,
    own_valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    database: str,
) -> None:
    ledger = tmp_path / "ledger"
    paths = configured(tmp_path, emulator, dict.fromkeys(NAMES, own_valkey.url))
    async with daemons(ledger) as made, application(own_valkey.url, ledger) as reader:
        await all_vote(made, paths, own_valkey, hold_at="intent", deadline_ms=4_000)
        first = leader(own_valkey)
        emulator.set_faults(api="anthropic", error_share=1.0, status=529)
        await made.until_held(paths[first])
        await made.kill(paths[first])
        killed_s = time.monotonic()
        await until(lambda: leader(own_valkey) in others(first), "another leads")
        # And one turn of its loop, and this machine's own slowness.
        assert time.monotonic() - killed_s < TTL_S + 2
        second = leader(own_valkey)
        await made.until_held(paths[second])
        made.let_go(paths[second])
        await until(lambda: primary(own_valkey) == "b", "it flips")
        (intent,) = intents(paths[first])
        await made.start(paths[first])
        await until(lambda: "abandoned" in kinds(paths[first], intent), "its intent is settled")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        await until(lambda: reader.flag("chat").epoch == epoch(own_valkey), "the reader knows")
        assert leader(own_valkey) == second
        await made.stop_all()
    assert intent not in asked(ledger)
    assert [entry["to"] for entry in events(own_valkey)] == ["a", "b"]
    assert sum("failed over" in title for title in oncall.titles) == 1
    rows = await asyncio.to_thread(recorded, database)
    assert verdict(ledger, own_valkey, rows) == []


def intents(path: Path) -> list[str]:
    records, _ = decode((path.parent / "journal").read_bytes())
    found = [record for record in records if record["kind"] == "intent"]
    return [record["decision_id"] for record in found if record["op"] == "auto"]
