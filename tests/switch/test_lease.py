"""Which vantage may write: one at a time, fenced by a nonce."""

from __future__ import annotations

import asyncio

import redis.asyncio

from switch.control.lease import Lease
from switch.flag import Keys
from tests.switch.switch_redis import eventually

KEYS = Keys("chat")


async def test_one_vantage_takes_the_lease_and_renews_it(
    redis_client: redis.asyncio.Redis,
) -> None:
    lease = Lease(redis_client, KEYS, 60)
    assert await lease.hold()
    assert await redis_client.get("prober:{chat}:lease") == lease.nonce
    await redis_client.pexpire(KEYS.lease, 30_000)
    assert await lease.hold()
    assert 30_000 < await redis_client.pttl(KEYS.lease) <= 60_000


async def test_another_vantage_neither_takes_nor_prolongs_a_held_lease(
    redis_client: redis.asyncio.Redis,
) -> None:
    first, second = Lease(redis_client, KEYS, 15), Lease(redis_client, KEYS, 60)
    assert await first.hold()
    assert not await second.hold()
    assert await redis_client.get(KEYS.lease) == first.nonce
    assert await redis_client.pttl(KEYS.lease) <= 15_000


async def test_of_twenty_vantages_at_once_one_takes_the_lease(
    redis_client: redis.asyncio.Redis,
) -> None:
    leases = [Lease(redis_client, KEYS, 15) for _ in range(20)]
    assert sum(await asyncio.gather(*(lease.hold() for lease in leases))) == 1


async def test_a_released_lease_is_free_at_once(redis_client: redis.asyncio.Redis) -> None:
    first, second = Lease(redis_client, KEYS, 15), Lease(redis_client, KEYS, 15)
    assert await first.hold()
    await first.release()
    assert await second.hold()


async def test_a_vantage_that_wakes_too_late_cannot_release_the_others_lease(
    redis_client: redis.asyncio.Redis,
) -> None:
    first, second = Lease(redis_client, KEYS, 15), Lease(redis_client, KEYS, 15)
    assert await first.hold()
    await redis_client.delete(KEYS.lease)  # as its time to live would
    assert await second.hold()
    await first.release()
    assert not await first.hold()
    assert await redis_client.get(KEYS.lease) == second.nonce


async def test_a_lease_ends_by_itself(redis_client: redis.asyncio.Redis) -> None:
    first, second = Lease(redis_client, KEYS, 0.02), Lease(redis_client, KEYS, 15)
    assert await first.hold()
    await eventually(second.hold)
    assert not await first.hold()


async def test_routes_have_leases_of_their_own_and_every_process_its_nonce(
    redis_client: redis.asyncio.Redis,
) -> None:
    chat, other = Lease(redis_client, KEYS, 15), Lease(redis_client, Keys("other"), 15)
    assert await chat.hold()
    assert await other.hold()
    assert len({chat.nonce, other.nonce}) == 2
    assert len(chat.nonce) == 32
