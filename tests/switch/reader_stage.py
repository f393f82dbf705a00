"""Either reader under one set of names, for tests that hold for both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from switch import AsyncReader, NotReadyError, Reader
from switch.flag import Candidate
from tests.switch.switch_redis import KEYS, Desk, eventually

NOWHERE = "unix:///nowhere/at/all"
NEVER_S = 600.0  # a poll that does not come within a test
SOON_S = 0.05
FAR = 9_000_000_000_000_000

Make = Callable[..., Any]


class Held:
    """Either reader under one set of names, with every change it reported."""

    def __init__(self, kind: str, url: str, *args: Any, **said: Any) -> None:
        self.changes: list[tuple[str, str, str]] = []
        said = {"on_change": lambda *change: self.changes.append(change)} | said
        self.reader: Any = (Reader if kind == "thread" else AsyncReader)(url, *args, **said)
        self.threaded = kind == "thread"
        self.primary, self.flag = self.reader.primary, self.reader.flag
        self.fallbacks, self.report = self.reader.fallbacks, self.reader.report

    async def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        return await (asyncio.to_thread(method, *args) if self.threaded else method(*args))

    async def wait_ready(self, seconds: float) -> bool:
        return bool(await self._call(self.reader.wait_ready, seconds))

    async def read_once(self) -> None:
        await self._call(self.reader.read_once)

    async def told(self, *changes: tuple[str, str, str]) -> None:
        """Exactly these changes were reported; a thread of their own does that a little later."""
        await eventually(lambda: len(self.changes) >= len(changes))
        assert self.changes == list(changes)

    async def close(self) -> None:
        await self._call(self.reader.close)

    async def serves(self, provider: str, route: str = "chat") -> None:
        def serving() -> bool:
            try:
                return bool(self.primary(route) == provider)
            except NotReadyError:
                return False

        await eventually(serving)

    async def confirms(self, epoch: int, route: str = "chat") -> None:
        await eventually(lambda: self.flag(route).epoch == epoch)


def candidate(name: str, **said: Any) -> Candidate:
    return Candidate(name, "openai", "v", "m", "https://x", **said)


async def know(desk: Desk, *names: str) -> None:
    await desk.writer.publish(desk.keys, [candidate(name) for name in names])


async def publish(desk: Desk, message: str | bytes) -> None:
    """To the one reader that listens, once it does."""

    async def listening() -> bool:
        said = await desk.client.pubsub_numsub(desk.keys.changed)
        return bool(said[0][1] == 1)

    await eventually(listening)
    assert await desk.client.publish(desk.keys.changed, message) == 1


async def forge(desk: Desk, provider: str, epoch: int = FAR) -> None:
    message = {"provider": provider, "epoch": epoch, "decision_id": "forged"}
    await publish(desk, json.dumps(message))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def reads(desk: Desk) -> int:
    """How many times Redis has been asked for a hash."""
    said = await desk.client.info("commandstats")
    return int(said.get("cmdstat_hgetall", {"calls": 0})["calls"])


async def still(desk: Desk) -> int:
    """The same, once two looks show that nothing is being read any more."""
    seen = -1
    while seen != (seen := await reads(desk)):
        await asyncio.sleep(0.3)
    return seen


async def move_unheard(desk: Desk, provider: str, epoch: int) -> None:
    """A flip whose message reaches nobody."""
    await desk.client.hset(
        KEYS.state, mapping={"provider": provider, "epoch": epoch, "decision_id": f"unheard{epoch}"}
    )
