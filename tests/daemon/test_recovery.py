"""What outlived the last run: journal and SQL joined, and given back to the parts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from prober.config import loader
from prober.daemon import recovery
from prober.daemon.daemon import SQL_WAIT_S
from prober.daemon.recovery import LastRun, compacted, recall, restore
from prober.history.journal import Record
from prober.history.records import rows, to_record
from prober.history.store.schema import open_engine
from prober.history.store.writer import Store
from tests.support.judge_stage import CONFIG, Bench, bench
from tests.support.values import flip, pin

NOW = 100_000.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    engine = await asyncio.to_thread(open_engine, f"sqlite:///{tmp_path}/prober.db")
    opened = Store(engine, tmp_path / "spool")
    opened.start()
    assert await asyncio.to_thread(opened.wait_written, 20)
    yield opened
    await asyncio.to_thread(opened.close)


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    async with bench(tmp_path, redis_client) as made:
        yield made


def done(epoch: int, to: str = "a", **changes: Any) -> Record:
    return {"kind": "done", **to_record(flip(epoch, to, **changes))}


async def recalled(records: list[Record], store: Store, seconds: float = 20.0) -> LastRun:
    config = await asyncio.to_thread(loader.parse, CONFIG)
    return await recall(records, store, config, seconds)


# -- the record of highest epoch -------------------------------------------------------------------


@pytest.mark.parametrize(("journal", "sql"), [(3, 5), (5, 3), (4, 4)])
async def test_the_record_of_highest_epoch_in_journal_and_sql_is_the_one_known(
    journal: int, sql: int, store: Store
) -> None:
    """With the pin that stood by the same record."""
    store.put(*rows(flip(sql, "b", pin=pin(provider="b"))))
    assert await asyncio.to_thread(store.wait_written, 20)
    past = await recalled([done(1), done(journal, "a")], store)
    known = past.memories["chat"]
    assert known.flip is not None
    assert known.flip.epoch == max(journal, sql)
    assert known.flip.to_provider == ("b" if sql > journal else "a")
    assert (known.pin is not None) is (sql > journal)


async def test_sql_alone_is_enough_and_so_is_the_journal(store: Store) -> None:
    assert (await recalled([done(2, "b")], store)).memories["chat"].flip == flip(2, "b")
    store.put(*rows(flip(3, "a")))
    assert await asyncio.to_thread(store.wait_written, 20)
    found = (await recalled([], store)).memories["chat"].flip
    assert found is not None
    assert (found.epoch, found.to_provider) == (3, "a")


async def test_sql_that_hangs_is_not_waited_for_and_what_it_says_too_late_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has two seconds, and then the daemon runs already."""
    assert SQL_WAIT_S == 2.0
    store.put(*rows(flip(9, "b")))
    assert await asyncio.to_thread(store.wait_written, 20)
    answers, said = threading.Event(), threading.Event()
    real = recovery._from_sql

    def late(*args: object) -> object:
        answers.wait(20)
        try:
            return real(*args)  # type: ignore[arg-type]
        finally:
            said.set()

    monkeypatch.setattr(recovery, "_from_sql", late)
    began_s = time.monotonic()
    past = await recalled([done(2)], store, 0.05)
    assert time.monotonic() - began_s < 10
    answers.set()
    assert await asyncio.to_thread(said.wait, 20)
    assert past.memories["chat"].flip == flip(2)
    assert (past.unsent, past.incidents, past.last_incident) == ([], [], 0)


# -- given back ------------------------------------------------------------------------------------


def intent(id: str) -> Record:
    meant = to_record(flip(0, "b", "d1", decision_id=id))
    more = {"deadline_ms": 1, "expected_decision_id": "d1", "replication_id": "r"}
    return {"kind": "intent", **meant, **more}


async def test_open_intents_pause_and_acknowledgements_are_given_back_and_history_is_shipped(
    on: Bench, store: Store
) -> None:
    records = [
        done(1),
        intent("settled"),
        {"kind": "refusal", "decision_id": "settled", "route": "chat"},
        intent("open"),
        {"kind": "pause", "paused": True, "at": 1.0},
        {"kind": "ack", "route": "chat", "at_ms": 77},
        {"kind": "ack", "route": "gone", "at_ms": 78},
    ]
    past = await recalled(records, store)
    restore(past, on.judge, on.notifier._outbox, on.judge.incidents)
    assert [one["decision_id"] for one in on.state.unsettled] == ["open"]
    assert on.judge.paused
    assert on.state.acknowledged_ms == 77
    assert [row.values["decision_id"] for row in on.rows if row.table == "flip"] == ["d1"]


async def test_a_pause_that_was_ended_is_over(on: Bench, store: Store) -> None:
    pauses = [{"kind": "pause", "paused": paused, "at": 1.0} for paused in (True, False)]
    restore(await recalled(pauses, store), on.judge, on.notifier._outbox, on.judge.incidents)
    assert not on.judge.paused


# -- a long journal --------------------------------------------------------------------------------


def alert(id: str, created_at: float) -> Record:
    return {"kind": "alert", "id": id, "created_at": created_at}


def test_a_shortened_journal_keeps_what_is_open_and_what_still_stands() -> None:
    """What it leaves out SQL has, and nobody will ask the journal for it."""
    lately, long_ago = NOW - 10, NOW - 10_000
    keep: list[Record] = [
        intent("open"),
        alert("waits", long_ago),
        alert("told lately", lately),
        {"kind": "sent", "id": "told lately", "at": lately},
        {"kind": "pause", "paused": True, "at": long_ago},
        {"kind": "ack", "route": "chat", "at_ms": 5},
        *(done(epoch) for epoch in range(11, 61)),
    ]
    drop: list[Record] = [
        {"kind": "pause", "paused": False, "at": 1.0},
        intent("settled"),
        {"kind": "abandoned", "decision_id": "settled"},
        alert("told long ago", long_ago),
        {"kind": "sent", "id": "told long ago", "at": long_ago},
        *(done(epoch) for epoch in range(1, 11)),
    ]
    assert compacted([*drop, *keep], NOW) == keep
