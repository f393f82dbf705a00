"""A whole daemon in a process of its own, which writes down what it does and may be killed.

It can kill itself at a named point, or wait there until it is let go: the seams of an automatic
flip, each after the step it is named for.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from prober.alerts.outbox import Outbox
from prober.daemon.daemon import Daemon
from prober.failover import executor
from prober.history.journal import Journal
from switch.control.lease import TIMING, Timing
from switch.control.writer import Answer, FlagWriter, FlipRequest, FlipUnknownError, Observed
from switch.flag import Flip, Keys, Op
from tests.faults.ledger import Ledger

POINTS = ("intent", "script", "done", "incident", "alert", "delivery")
# The same of a seed or a repair.
RECOVERY = ("recovery intent", "recovery script", "recovery done")

# One server has everything imported; a daemon is a fork of that, made in milliseconds.
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["victim", "warm"])


@dataclass(frozen=True)
class Orders:
    """What is odd about a daemon.

    Attributes:
        die_at, hold_at: a point; at the second it waits, once, for as long as `held` exists.
        deadline_ms, ttl_s: how long its flips may take and its leases live, if not as usual.
    """

    die_at: str = ""
    hold_at: str = ""
    deadline_ms: int = 0
    ttl_s: float = 0.0


def start(config: Path, ledger: Path, orders: Orders) -> multiprocessing.process.BaseProcess:
    """A daemon with this process's environment; its log lines go to `<config>.log`."""
    _ensure_server()
    process = _server.Process(
        target=_run, args=(config, ledger, orders, dict(os.environ)), daemon=True
    )
    process.start()
    return process


def _ensure_server() -> None:
    """Python before 3.13 gives its fork server no path to import from, and it says nothing."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def held(config: Path) -> Path:
    return config.with_suffix(".held")


def _run(config: Path, ledger: Path, orders: Orders, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    log = os.open(config.with_suffix(".log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, sys.stderr.fileno())
    book = Ledger(ledger, config.parent.name)
    write_down(book)
    if orders.die_at:
        arm(orders.die_at, die)
    if orders.hold_at:
        arm(orders.hold_at, Hold(held(config)))
    if orders.deadline_ms:
        executor.DEADLINE_MS = orders.deadline_ms
    if orders.ttl_s:
        # Every part holds this one value; the other is made only to be checked.
        object.__setattr__(TIMING, "ttl_s", Timing(ttl_s=orders.ttl_s).ttl_s)
    asyncio.run(_daemon(config, book))


async def _daemon(config: Path, book: Ledger) -> None:
    daemon = Daemon(config)
    daemon.listen_to_signals()
    ready = asyncio.create_task(daemon.ready.wait())
    ready.add_done_callback(lambda _: book.note("ready", pid=os.getpid()))
    await daemon.run()


async def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Hold:
    """Waits, the first time it is called, until the file it has made is gone."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._over = False

    async def __call__(self) -> None:
        if not self._over:
            self._over = True
            self._file.touch()
            while self._file.exists():
                await asyncio.sleep(0.005)


def write_down(ledger: Ledger) -> None:
    """Everything that this process writes to Redis and its journal, and all it sees there."""
    append, observe = Journal.append, FlagWriter.observe
    seen: set[tuple[str, str]] = set()

    async def appending(self: Journal, kind: str, **fields: Any) -> None:
        await append(self, kind, **fields)
        if kind == "done":
            ledger.note(
                "done",
                decision=fields["decision_id"],
                epoch=fields["epoch"],
                provider=fields["to"],
                leaves=fields["from"],
                op=fields["op"],
            )
        if kind == "unresolved":
            ledger.note("unresolved", decision=fields["decision_id"])

    async def observing(self: FlagWriter, *args: Any, **said: Any) -> Observed:
        found = await observe(self, *args, **said)
        if flag := found.flag:
            ledger.note_new(
                "state", epoch=flag.epoch, decision=flag.decision_id, provider=flag.provider
            )
        for one in found.flips:
            if (found.replication_id, one.decision_id) not in seen:
                seen.add((found.replication_id, one.decision_id))
                ledger.note("event", **event(one, found.replication_id))
        return found

    Journal.append = appending  # type: ignore[method-assign]
    FlagWriter.flip = noting(FlagWriter.flip, ledger)  # type: ignore[method-assign]
    FlagWriter.observe = observing  # type: ignore[method-assign]


def noting(flip: Callable[..., Awaitable[Answer]], ledger: Ledger) -> Callable[..., Any]:
    """`Writer.flip`, written down before and after."""

    async def flipping(self: FlagWriter, keys: Keys, request: FlipRequest, **more: Any) -> Answer:
        decision = request.decision_id
        ledger.note(
            "ask",
            decision=decision,
            op=request.op.value,
            provider=request.provider,
            deadline_ms=request.deadline_ms,
        )
        try:
            answer = await flip(self, keys, request, **more)
        except FlipUnknownError:
            ledger.note("answer", decision=decision, status="unknown")
            raise
        status, provider = answer.status.value, answer.provider
        ledger.note(
            "answer", decision=decision, status=status, epoch=answer.epoch, provider=provider
        )
        return answer

    return flipping


def event(flip: Flip, run: str) -> dict[str, Any]:
    """What the ledger keeps of an entry of the stream."""
    return {
        "run": run,
        "epoch": flip.epoch,
        "decision": flip.decision_id,
        "provider": flip.to_provider,
        "parent": flip.parent,
        "at_ms": flip.at_ms,
        "op": flip.op.value,
    }


def arm(point: str, act: Callable[[], Awaitable[None]]) -> None:
    """Makes `act` come after the step `point` of an automatic flip, or of a recovery."""
    append, flip, attempt = Journal.append, FlagWriter.flip, Outbox._try
    ops = (Op.SEED, Op.REPAIR) if point in RECOVERY else (Op.AUTO,)
    step = point.removeprefix("recovery ")

    async def appending(self: Journal, kind: str, **fields: Any) -> None:
        await append(self, kind, **fields)
        of_flip = fields.get("op") in ops or fields.get("event") == "failed_over"
        if kind == step and (of_flip or kind == "incident"):
            await act()

    async def flipping(self: FlagWriter, keys: Any, request: Any, **more: Any) -> Any:
        answer = await flip(self, keys, request, **more)
        if step == "script" and request.op in ops:
            await act()
        return answer

    async def attempting(self: Outbox, item: Any) -> str:
        failure = await attempt(self, item)
        if point == "delivery" and item.event.kind == "failed_over" and not failure:
            await act()
        return failure

    Journal.append = appending  # type: ignore[method-assign]
    FlagWriter.flip = flipping  # type: ignore[method-assign]
    Outbox._try = attempting  # type: ignore[method-assign]
