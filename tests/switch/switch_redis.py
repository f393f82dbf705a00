"""Short ways to call the flip script, and to wait for a condition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import redis.asyncio

from switch.control.lease import Lease
from switch.control.writer import Answer, FlagWriter, FlipRequest, PinChange, Status
from switch.flag import ORIGIN_OF_OP, Flag, Keys, Op, Origin, Pin

KEYS = Keys("chat")


async def eventually(met: Callable[[], Awaitable[object] | object], within_s: float = 20.0) -> None:
    """Waits until `met()` is true; the deadline is generous and only for a broken build."""
    until = time.monotonic() + within_s
    while True:
        said = met()
        if isinstance(said, Awaitable):
            said = await said
        if said:
            return
        assert time.monotonic() < until, "waited in vain"
        await asyncio.sleep(0.005)


class Desk:
    """A vantage with the lease and an operator, on the route "chat"."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys = KEYS) -> None:
        self.client, self.keys = client, keys
        self.writer = FlagWriter(client)
        self.lease = Lease(client, keys, 60)
        self._count = 0

    async def ready(self) -> Desk:
        assert await self.lease.hold()
        return self

    async def time_ms(self) -> int:
        seconds, micros = await self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def request(self, op: Op, provider: str, **said: Any) -> FlipRequest:
        """A request made on what Redis holds now, unless `said` says otherwise."""
        self._count += 1
        seen = await self.client.hmget(self.keys.state, "epoch", "decision_id")
        request = FlipRequest(
            op,
            f"d{self._count}",
            provider,
            f"{op} to {provider}",
            "tester",
            await self.time_ms() + 60_000,
            expected_epoch=int(seen[0] or 0),
            expected_decision_id=seen[1] or "",
            nonce=self.lease.nonce,
            origin=ORIGIN_OF_OP.get(op, Origin.OPERATOR),
        )
        return replace(request, **said)

    async def call(self, op: Op, provider: str, **said: Any) -> Answer:
        return await self.writer.flip(self.keys, await self.request(op, provider, **said))

    async def set(self, op: Op, provider: str, **said: Any) -> Answer:
        answer = await self.call(op, provider, **said)
        assert answer.status is Status.COMMITTED
        return answer

    async def seed(self, provider: str = "a", **said: Any) -> Answer:
        return await self.set(Op.SEED, provider, **said)

    async def flip(self, provider: str, **said: Any) -> Answer:
        return await self.set(Op.AUTO, provider, **said)

    async def pin(self, provider: str, for_ms: int = 60_000) -> Answer:
        until = await self.time_ms() + for_ms
        return await self.set(Op.MANUAL, provider, pin=pinning(provider, until))

    async def flag(self) -> Flag:
        seen = await self.writer.observe(self.keys)
        assert seen.flag is not None
        return seen.flag


def pinning(provider: str, until_ms: int) -> PinChange:
    return PinChange(Pin(provider, "ada", "maintenance", until_ms))
