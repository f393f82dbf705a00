"""One flip, from its intent to its record: what is on disk when, and that nothing is retried."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from prober.history.journal import Record
from switch.connect import connect_async
from switch.control.writer import Answer, FlipRequest, PinChange
from switch.flag import Flip, Op, Origin, Pin
from tests.support.judge_stage import KEYS, Bench, bench
from tests.support.servers import Valkey, start_valkey
from tests.switch.redis_nodes import free_port


@pytest.fixture
async def on(tmp_path: Path, own_valkey: Valkey) -> AsyncIterator[Bench]:
    """ "a" serves."""
    client = connect_async(own_valkey.url, timeout_s=0.5)
    async with bench(tmp_path, client) as made:
        await seeded(made)
        yield made
    await client.aclose()


async def seeded(on: Bench) -> None:
    on.found("a", count=4)
    for _ in range(2):
        await on.judge.tick()
    assert on.state.primary == "a"


async def flip(on: Bench, **said: object) -> Flip | None:
    done = await on.executor.flip(
        on.state, Op.AUTO, "b", "because", actor="prober@local", **said  # type: ignore[arg-type]
    )  # fmt: skip
    return done.flip if done else None


async def evals(on: Bench) -> int:
    stats = await on.client.info("commandstats")
    return int(stats["cmdstat_eval"]["calls"])


async def test_intent_script_record_history_in_this_order(
    on: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intent is on disk before Redis is asked, with what settles it if no answer comes."""
    seen = await on.seen()
    assert seen.flag is not None
    on.state.saw(seen)
    at_call: list[Record] = []
    real = on.executor.writer.flip

    async def spied(keys: object, request: FlipRequest, *, replicas: int = 0) -> Answer:
        assert request.deadline_ms == seen.time_ms + 5_000
        at_call.extend(await on.records("intent"))
        assert len(await on.records("done")) == 1, "only the seed's"
        return await real(KEYS, request, replicas=replicas)

    monkeypatch.setattr(on.executor.writer, "flip", spied)
    made = await flip(on)
    assert made is not None
    intent = at_call[-1]
    assert intent["decision_id"] == made.decision_id
    assert intent["replication_id"] == seen.replication_id
    assert intent["deadline_ms"] == seen.time_ms + 5_000
    assert intent["expected_decision_id"] == seen.flag.decision_id
    done = (await on.records("done"))[-1]
    assert (done["decision_id"], done["epoch"]) == (made.decision_id, made.epoch)
    assert [row.values["decision_id"] for row in on.rows if row.table == "flip"][-1] == (
        made.decision_id
    )


async def test_a_refusal_is_recorded_with_its_status_and_not_tried_again(on: Bench) -> None:
    pin = Pin("a", "ann", "upgrade", (await on.seen()).time_ms + 60_000)
    await on.executor.flip(on.state, Op.MANUAL, "a", "hold", actor="ann",
                          origin=Origin.OPERATOR, pin=PinChange(pin))  # fmt: skip
    on.state.saw(await on.seen())
    before = await evals(on)
    assert await flip(on) is None
    assert await evals(on) == before + 1
    (refusal,) = await on.records("refusal")
    assert refusal["status"] == "pinned"
    (row,) = [row for row in on.rows if row.table == "refusal"]
    assert (row.values["status"], row.values["wanted"]) == ("pinned", "b")
    assert on.state.unsettled == []


async def stopped(valkey: Valkey, on: Bench) -> Flip | None:
    """A flip to a server that does not answer until it is over."""
    os.kill(valkey.process.pid, signal.SIGSTOP)
    try:
        return await flip(on)
    finally:
        os.kill(valkey.process.pid, signal.SIGCONT)


async def until_settled(on: Bench) -> None:
    async with asyncio.timeout(20):
        while on.state.unsettled:
            await on.judge.tick()
            await asyncio.sleep(0.01)


async def test_a_timeout_is_unknown_and_read_back(on: Bench, own_valkey: Valkey) -> None:
    """The call was under way, and lands once the server runs again: once."""
    assert await stopped(own_valkey, on) is None
    assert [intent["to"] for intent in on.state.unsettled] == ["b"]
    assert await on.records("refusal") == []
    await until_settled(on)
    seen = await on.seen()
    assert [one.to_provider for one in seen.flips] == ["a", "b"]
    assert (await on.records("done"))[-1]["decision_id"] == seen.flips[-1].decision_id
    assert await on.told("chat failed over: a → b")


async def test_a_timeout_past_its_deadline_never_lands_and_is_abandoned(
    on: Bench, own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prober.failover.executor.DEADLINE_MS", 100)
    assert await stopped(own_valkey, on) is None
    (intent,) = on.state.unsettled
    await until_settled(on)
    assert [r["decision_id"] for r in await on.records("abandoned")] == [intent["decision_id"]]
    seen = await on.seen()
    assert [one.to_provider for one in seen.flips] == ["a"]
    assert seen.primary == "a"


@pytest.fixture
def copy_folder() -> Iterator[Path]:
    # Unix socket paths are short; pytest's own temporary folders are not.
    folder = Path(tempfile.mkdtemp(prefix="pv"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_replica_is_waited_for_where_there_is_one(on: Bench, copy_folder: Path) -> None:
    async def waits() -> int:
        stats = await on.client.info("commandstats")
        return int(stats.get("cmdstat_wait", {"calls": 0})["calls"])

    assert await flip(on) is not None
    assert await waits() == 0
    port = free_port()
    await on.client.config_set("port", port)
    copy = Valkey(copy_folder, await asyncio.to_thread(start_valkey, copy_folder))
    try:
        with copy.client() as client:
            await asyncio.to_thread(client.replicaof, "127.0.0.1", str(port))
        async with asyncio.timeout(30):
            while (seen := await on.seen()).replicas != 1:
                await asyncio.sleep(0.02)
        on.state.saw(seen)
        back = await on.executor.flip(on.state, Op.AUTO, "a", "back", actor="prober@local")
        assert back is not None
        assert await waits() == 1
    finally:
        await asyncio.to_thread(copy.stop)
