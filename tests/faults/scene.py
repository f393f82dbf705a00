"""Daemons that can be killed, a Redis that can forget, and an application that reads along."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import redis

from prober.emulator import Emulator
from prober.history.store import queries
from prober.history.store.schema import of_installation, open_engine
from switch import AsyncReader, NotReadyError
from switch.cached_flag import ANNOUNCED
from switch.connect import connect_async
from switch.control.writer import Answer, FlagWriter, FlipRequest, Status
from switch.flag import Keys, Op, Origin, decode_flip
from tests.faults import victim
from tests.faults.ledger import Ledger, Line, faults, load
from tests.support.stage import until, write_config

KEYS = Keys("chat")


class Server(Protocol):
    """A Redis, of whatever make."""

    def client(self) -> redis.Redis: ...


@dataclass
class Daemons:
    """Processes by their configuration; all write into one ledger."""

    ledger: Path
    running: dict[Path, BaseProcess] = field(default_factory=dict)

    async def start(self, config: Path, **odd: Any) -> BaseProcess:
        """`odd`: see victim.Orders."""
        orders = victim.Orders(**odd)
        process = await asyncio.to_thread(victim.start, config, self.ledger, orders)
        self.running[config] = process
        return process

    async def until_held(self, config: Path) -> None:
        """It has reached the point named by `hold_at`, and waits."""
        await until(victim.held(config).exists, f"{config.parent.name} is held")

    def let_go(self, config: Path) -> None:
        victim.held(config).unlink()

    def signal(self, config: Path, number: int) -> None:
        pid = self.running[config].pid
        assert pid is not None
        os.kill(pid, number)

    async def kill(self, config: Path) -> None:
        process = self.running.pop(config)
        process.kill()
        await asyncio.to_thread(process.join)

    async def stop(self, config: Path) -> int | None:
        """As systemd would; gives the exit code."""
        process = self.running.pop(config)
        process.terminate()
        await asyncio.to_thread(process.join, 15)
        return process.exitcode

    async def stop_all(self) -> None:
        codes = await asyncio.gather(*(self.stop(config) for config in list(self.running)))
        assert set(codes) == {0}

    async def end(self) -> None:
        for config in list(self.running):
            if self.running[config].is_alive():
                self.signal(config, signal.SIGCONT)
            await self.kill(config)


@asynccontextmanager
async def daemons(ledger: Path) -> AsyncIterator[Daemons]:
    made = Daemons(ledger)
    try:
        yield made
    finally:
        await made.end()


def staying(folder: Path, emulator: Emulator, redis_url: str) -> Path:
    """The configuration of a daemon that flips once and does not fail back."""
    path = folder / "prober.toml"
    return write_config(path, emulator=emulator.url, redis=redis_url, failback="manual")


async def about_to_flip(
    made: Daemons, config: Path, valkey: Server, emulator: Emulator, **odd: Any
) -> None:
    """A daemon that has written down its intent to leave `a` for `b`, and is held there."""
    await made.start(config, hold_at="intent", **odd)
    await until(lambda: primary(valkey) == "a", "the first flag")
    emulator.set_faults(api="anthropic", error_share=1.0, status=529)
    await made.until_held(config)


async def by_hand(url: str, provider: str) -> Answer:
    """Moves the flag as `prober failover` would."""
    answer = await try_by_hand(url, provider)
    assert answer is not None
    assert answer.status is Status.COMMITTED
    return answer


async def try_by_hand(
    url: str, provider: str, flip: Callable[..., Awaitable[Answer]] = FlagWriter.flip
) -> Answer | None:
    """The same, whatever comes of it. Raises RedisError or FlipUnknownError."""
    client = connect_async(url, timeout_s=2.0)
    writer = FlagWriter(client)
    try:
        seen = await writer.observe(KEYS)
        if seen.flag is None:
            return None
        request = FlipRequest(
            op=Op.MANUAL,
            decision_id=uuid4().hex,
            provider=provider,
            reason="ann was faster",
            actor="ann",
            origin=Origin.OPERATOR,
            deadline_ms=seen.time_ms + 5_000,
            expected_epoch=seen.flag.epoch,
            expected_decision_id=seen.flag.decision_id,
        )
        return await flip(writer, KEYS, request)
    finally:
        await client.aclose()


@asynccontextmanager
async def application(
    url: str, ledger: Path, name: str = "app", poll_s: float = 1.0
) -> AsyncIterator[AsyncReader]:
    """A reader, and a hand that writes down every change of what it serves."""
    book = Ledger(ledger, name)
    reader = AsyncReader(url, {"chat": "nobody"}, poll_s=poll_s)
    async with reader:
        watching = asyncio.create_task(_watch(reader, book))
        yield reader
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    book.close()


async def _watch(reader: AsyncReader, book: Ledger) -> None:
    while True:
        with contextlib.suppress(NotReadyError):
            said = reader.flag("chat")
            if said.epoch:
                confirmed = said.reason != ANNOUNCED
                book.note_new("read", epoch=said.epoch, provider=said.provider, confirmed=confirmed)
        await asyncio.sleep(0.002)


@contextmanager
def notes(ledger: Path) -> Iterator[Ledger]:
    book = Ledger(ledger, "test")
    try:
        yield book
    finally:
        book.close()


def epoch(valkey: Server) -> int:
    with valkey.client() as client:
        return int(client.hget(KEYS.state, "epoch") or 0)


def primary(valkey: Server) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get(KEYS.primary)
        return found


def events(valkey: Server) -> list[dict[str, str]]:
    with valkey.client() as client:
        return [entry for _, entry in client.xrange(KEYS.events)]


def asked(ledger: Path, *ops: Op) -> list[str]:
    """The decisions that daemons called the script for, in order; automatic flips if not said."""
    asks = (line for line in load(ledger) if line["kind"] == "ask")
    return [line["decision"] for line in asks if line["op"] in (ops or (Op.AUTO,))]


def answered(ledger: Path, decision: str) -> list[str]:
    """What the calls for a decision were told; "unknown": nothing."""
    lines = (line for line in load(ledger) if line["kind"] == "answer")
    return [line["status"] for line in lines if line["decision"] == decision]


def deadline_of(ledger: Path, decision: str) -> int:
    asks = (line for line in load(ledger) if line["kind"] == "ask")
    return next(line["deadline_ms"] for line in asks if line["decision"] == decision)


def recorded(database: Path | str) -> list[dict[str, Any]]:
    """The flips in SQL, oldest first: at a URL, or in the SQLite file beside a configuration."""
    beside = isinstance(database, Path)
    engine = open_engine(f"sqlite:///{database.parent / 'prober.db'}" if beside else database)
    try:
        (ours,) = queries.installations(engine)
        return queries.flips(of_installation(engine, ours))[::-1]
    finally:
        engine.dispose()


def evaluations(valkey: Server) -> int:
    """How often the server ran the flip script; everything else goes by hash."""
    with valkey.client() as client:
        found: int = client.info("commandstats")["cmdstat_eval"]["calls"]
        return found


def verdict(ledger: Path, valkey: Server, in_sql: list[dict[str, Any]]) -> list[str]:
    """What is wrong in the end: with the ledger, with SQL, with what Redis shows."""
    with notes(ledger) as book:
        for entry in events(valkey):
            one = victim.event(decode_flip("chat", entry), "final")
            book.note("event", **one)
            book.note("final", decision=one["decision"])
    lines: list[Line] = load(ledger)
    found = faults(lines, in_sql)
    with valkey.client() as client:
        state, mirror = client.hgetall(KEYS.state), client.get(KEYS.primary)
    if state.get("provider") != mirror:
        found.append(f"primary says {mirror}, state {state.get('provider')}")
    return found
