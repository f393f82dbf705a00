"""The flip script against a real server."""

from __future__ import annotations

import redis.asyncio

from switch.flag import Keys, Op
from switch.lease import Lease
from switch.writer import Request, Status, Writer


async def test_a_seed_sets_state_and_primary_together(redis_client: redis.asyncio.Redis) -> None:
    writer, keys = Writer(redis_client), Keys("chat")
    lease = Lease(redis_client, keys, 15)
    assert await lease.hold()
    seen = await writer.observe(keys)
    request = Request(Op.SEED, "d1", "openai", "first", "t", seen.time_ms + 5000, nonce=lease.nonce)
    answer = await writer.flip(keys, request)
    assert answer.status is Status.COMMITTED
    seen = await writer.observe(keys)
    assert seen.flag is not None
    assert (seen.flag.provider, seen.primary) == ("openai", "openai")
