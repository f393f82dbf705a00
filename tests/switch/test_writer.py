"""What the writer reads, and what it makes of a server that does not answer."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from switch.connect import connect_async
from switch.control.writer import FlipUnknownError, Status
from switch.flag import Candidate, Keys, MalformedFlagError, Op, decode_candidate, decode_candidates
from tests.support.servers import Valkey
from tests.switch.switch_redis import KEYS, Desk, eventually


@pytest.fixture
async def desk(redis_client: redis.asyncio.Redis) -> Desk:
    return await Desk(redis_client).ready()


@pytest.fixture
async def own_desk(own_valkey: Valkey) -> AsyncIterator[Desk]:
    client = connect_async(own_valkey.url)
    yield await Desk(client).ready()
    await client.aclose()


async def test_a_seed_sets_state_and_primary_together(desk: Desk) -> None:
    answer = await desk.call(Op.SEED, "openai")
    assert answer.status is Status.COMMITTED
    seen = await desk.writer.observe(KEYS)
    assert seen.flag is not None
    assert (seen.flag.provider, seen.primary) == ("openai", "openai")


async def test_an_empty_redis_is_observed_as_empty(redis_client: redis.asyncio.Redis) -> None:
    seen = await Desk(redis_client).writer.observe(KEYS)
    assert (seen.flag, seen.pin, seen.primary, seen.lease, seen.flips) == (None,) * 4 + ((),)
    assert (seen.live_pin, seen.writable, seen.replicas) == (None, True, 0)
    assert len(seen.replication_id) == 40
    assert seen.time_ms > 1_600_000_000_000


async def test_everything_of_a_route_is_observed_at_once(desk: Desk) -> None:
    first = await desk.seed("a")
    second = await desk.pin("b")
    seen = await desk.writer.observe(KEYS)
    assert seen.flag is not None
    assert (seen.flag.provider, seen.flag.epoch, seen.primary) == ("b", second.epoch, "b")
    assert seen.lease == desk.lease.nonce
    assert seen.live_pin is not None
    assert seen.live_pin == seen.pin
    assert [flip.epoch for flip in seen.flips] == [first.epoch, second.epoch]


async def test_a_pin_that_has_ended_is_seen_but_not_live(desk: Desk) -> None:
    await desk.seed("a")
    await desk.pin("a", for_ms=-1)
    seen = await desk.writer.observe(KEYS)
    assert seen.pin is not None
    assert seen.live_pin is None


async def test_the_newest_events_are_observed_oldest_first(desk: Desk) -> None:
    await desk.seed("a")
    for name in ("b", "c", "d"):
        await desk.flip(name)
    seen = await desk.writer.observe(KEYS, events=2)
    assert [flip.to_provider for flip in seen.flips] == ["c", "d"]


async def test_a_foreign_entry_in_the_stream_is_passed_over(desk: Desk) -> None:
    await desk.seed("a")
    await desk.client.xadd(KEYS.events, {"note": "by hand"})
    await desk.flip("b")
    seen = await desk.writer.observe(KEYS)
    assert [flip.to_provider for flip in seen.flips] == ["a", "b"]


@pytest.mark.parametrize("key", [KEYS.state, KEYS.pin, KEYS.primary, KEYS.lease, KEYS.events])
async def test_a_key_of_another_type_is_called_malformed(desk: Desk, key: str) -> None:
    await desk.client.delete(key)
    await desk.client.sadd(key, "stray")
    with pytest.raises(MalformedFlagError, match="has another type"):
        await desk.writer.observe(KEYS)


async def test_a_state_that_is_no_text_is_called_malformed(desk: Desk) -> None:
    await desk.seed("a")
    await desk.client.hset(KEYS.state, "provider", b"\xff\xfe")
    with pytest.raises(MalformedFlagError, match="names provider"):
        await desk.writer.observe(KEYS)


async def test_a_server_that_refuses_a_read_is_not_called_malformed(own_desk: Desk) -> None:
    await own_desk.client.execute_command("ACL", "SETUSER", "default", "-xrevrange")
    with pytest.raises(ResponseError):
        await own_desk.writer.observe(KEYS)


async def test_candidates_are_replaced_whole(desk: Desk) -> None:
    a, b = (Candidate(name, "openai", "v", "m", "https://x") for name in "ab")
    await desk.writer.publish(KEYS, [a, b])
    await desk.writer.publish(KEYS, [replace(b, eligible=False, why_not="breached")])
    said = await desk.client.hgetall("prober:{chat}:candidates")
    assert {name: decode_candidate(name, text) for name, text in said.items()} == {
        "b": replace(b, eligible=False, why_not="breached")
    }
    await desk.writer.publish(KEYS, [])
    assert not await desk.client.exists(KEYS.candidates)


async def test_candidates_keep_the_order_they_are_given_in(desk: Desk) -> None:
    names = ["d", "a", "c", "b"]
    for order in (names, names[::-1]):
        said = [Candidate(name, "openai", "v", "m", "https://x") for name in order]
        await desk.writer.publish(KEYS, said)
        found = decode_candidates(await desk.client.hgetall(KEYS.candidates))
        assert [candidate.name for candidate in found] == order


# -- servers in trouble ------------------------------------------------------------------------


async def test_a_dead_server_makes_a_flip_unknown_and_a_look_fail(
    own_valkey: Valkey, own_desk: Desk
) -> None:
    await own_desk.seed("a")
    request = await own_desk.request(Op.AUTO, "b")
    own_valkey.stop()
    with pytest.raises(FlipUnknownError):
        await own_desk.writer.flip(KEYS, request)
    with pytest.raises(RedisError):
        await own_desk.writer.observe(KEYS)


async def test_a_flip_that_timed_out_may_still_land_and_is_found_by_its_id(
    own_valkey: Valkey, own_desk: Desk
) -> None:
    await own_desk.seed("a")
    request = await own_desk.request(Op.AUTO, "b")
    os.kill(own_valkey.process.pid, signal.SIGSTOP)
    with pytest.raises(FlipUnknownError):
        await own_desk.writer.flip(KEYS, request)
    os.kill(own_valkey.process.pid, signal.SIGCONT)

    async def landed() -> bool:
        return (await own_desk.writer.observe(KEYS)).find(request.decision_id) is not None

    await eventually(landed)
    assert (await own_desk.flag()).provider == "b"


async def test_a_flip_that_timed_out_cannot_land_after_its_deadline(
    own_valkey: Valkey, own_desk: Desk
) -> None:
    await own_desk.seed("a")
    request = await own_desk.request(Op.AUTO, "b")
    # Shorter than the client's own patience, so it has passed when the server wakes.
    request = replace(request, deadline_ms=await own_desk.time_ms() + 100)
    os.kill(own_valkey.process.pid, signal.SIGSTOP)
    with pytest.raises(FlipUnknownError):
        await own_desk.writer.flip(KEYS, request)
    os.kill(own_valkey.process.pid, signal.SIGCONT)

    async def called_twice() -> bool:
        stats = await own_desk.client.info("commandstats")
        return bool(stats["cmdstat_eval"]["calls"] == 2)

    await eventually(called_twice)
    assert (await own_desk.flag()).provider == "a"
    assert await own_desk.client.xlen(KEYS.events) == 1


async def test_a_full_server_refuses_the_flip_whole(own_desk: Desk) -> None:
    await own_desk.seed("a")
    before = await own_desk.client.hgetall(KEYS.state)
    await own_desk.client.config_set("maxmemory", 1)
    with pytest.raises(RedisError, match="maxmemory"):
        await own_desk.call(Op.AUTO, "b")
    assert await own_desk.client.hgetall(KEYS.state) == before
    assert await own_desk.client.get(KEYS.primary) == "a"
    assert await own_desk.client.xlen(KEYS.events) == 1


async def test_a_replica_refuses_a_flip_and_is_not_writable(own_desk: Desk) -> None:
    await own_desk.seed("a")
    await own_desk.client.replicaof("127.0.0.1", "1")
    with pytest.raises(RedisError):
        await own_desk.call(Op.AUTO, "b")
    assert not (await own_desk.writer.observe(KEYS)).writable
    assert (await own_desk.flag()).provider == "a"


async def test_a_flip_is_committed_though_no_replica_confirms_it(own_desk: Desk) -> None:
    await own_desk.seed("a")
    request = await own_desk.request(Op.AUTO, "b")
    answer = await own_desk.writer.flip(KEYS, request, replicas=1)
    assert (answer.status, answer.provider) == (Status.COMMITTED, "b")


async def test_the_installation_is_named_once_and_read_with_the_flag(desk: Desk) -> None:
    other = Keys("other")
    assert (await desk.writer.observe(KEYS)).installation == ""
    assert await desk.writer.installation("prober", [KEYS, other]) == ("", False)
    assert await desk.writer.claim("prober", "one") == "one"
    assert await desk.writer.claim("prober", "two") == "one", "the first name stands"
    assert await desk.writer.claim("prober", "two", "three") == "one"
    assert await desk.writer.claim("prober", "two", "one") == "two"
    assert (await desk.writer.observe(KEYS)).installation == "two"
    assert (await desk.writer.observe(Keys("chat", "blue"))).installation == ""
    await desk.seed("a")
    assert await desk.writer.installation("prober", [other, KEYS]) == ("two", True)
    assert await desk.writer.installation("prober", [other]) == ("two", False)
