"""AsyncReaders of one loop share their connections."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from switch import AsyncReader
from switch.connect import connect_async
from switch.flag import Keys
from switch.redis_source import AsyncRedisSource
from switch.shared_connection import SharedConnection, _hubs
from tests.support.servers import Valkey
from tests.switch.reader_stage import NEVER_S, NOWHERE, Clock, know
from tests.switch.switch_redis import Desk, eventually


async def test_a_hundred_async_readers_share_two_connections(
    own_desk: Desk, own_valkey: Valkey
) -> None:
    answer = await own_desk.seed("a")
    await know(own_desk, "a", "b")
    before = len(await own_desk.client.client_list())
    readers = [
        AsyncReader(own_valkey.url, {"chat": "x"}, routes=["mail"] * (n % 2), poll_s=NEVER_S)
        for n in range(100)
    ]
    for reader in readers:
        reader.start()
    await eventually(lambda: all(r.flag("chat").epoch == answer.epoch for r in readers))

    async def two() -> bool:
        return len(await own_desk.client.client_list()) - before == 2

    await eventually(two)
    await own_desk.flip("b")
    await eventually(lambda: all(r.primary("chat") == "b" for r in readers))
    for reader in readers[:99]:
        await reader.close()
    await own_desk.flip("a")
    await eventually(lambda: readers[99].primary("chat") == "a")
    assert {r.primary("chat") for r in readers[:99]} == {"b"}, "a closed reader hears no more"
    await readers[99].close()

    async def alone() -> bool:
        return len(await own_desk.client.client_list()) == before

    await eventually(alone)


async def test_a_reader_that_joins_later_hears_its_own_routes(desk: Desk, valkey: Valkey) -> None:
    mail = await Desk(desk.client, Keys("mail")).ready()
    await desk.seed("a")
    await mail.seed("m")
    async with AsyncReader(valkey.url, {"chat": "x"}, poll_s=NEVER_S) as first:
        assert await first.wait_ready(20)
        async with AsyncReader(valkey.url, {"mail": "m", "chat": "x"}, poll_s=NEVER_S) as second:
            assert await second.wait_ready(20)
            await mail.flip("n")
            await eventually(lambda: second.primary("mail") == "n")
        await desk.flip("b")
        await eventually(lambda: first.primary("chat") == "b")


async def test_readers_of_other_servers_and_clocks_share_nothing(valkey: Valkey) -> None:
    readers = [
        AsyncReader(valkey.url, {"chat": "x"}),
        AsyncReader(NOWHERE, {"chat": "x"}),
        AsyncReader(valkey.url, {"chat": "x"}, clock=Clock()),
    ]
    hubs = {SharedConnection.join(r._url, r._routes) for r in readers}
    assert len(hubs) == 3
    for reader, hub in zip(readers, list(hubs), strict=True):
        reader._hub = None
        await hub._end()


def test_each_loop_has_connections_of_its_own(valkey: Valkey) -> None:
    async def once() -> bool:
        async with AsyncReader(valkey.url, {"chat": "x"}) as reader:
            await eventually(lambda: reader.flag("chat").read_age_s is not None)
            return True

    assert [asyncio.run(once()) for _ in range(3)] == [True] * 3


def test_a_reader_started_in_a_later_loop_follows_again(own_valkey: Valkey) -> None:
    """A script that calls asyncio.run twice, and never closed its reader."""
    reader = AsyncReader(own_valkey.url, {"chat": "x"}, poll_s=NEVER_S, report_url=own_valkey.url)

    async def use(provider: str) -> None:
        async with connect_async(own_valkey.url) as client:
            desk = await Desk(client).ready()
            await (desk.flip if provider == "b" else desk.seed)(provider, decision_id=provider)
            reader.start()
            await eventually(lambda: reader.primary("chat") == provider)
            await desk.lease.release()

    async def end() -> None:
        reader.start()
        await reader.close()

    asyncio.run(use("a"))
    asyncio.run(use("b"))
    asyncio.run(end())


async def test_readers_made_after_all_tasks_were_cancelled_follow(
    desk: Desk, valkey: Valkey
) -> None:
    """A framework that ends all tasks ends our worker too: the next reader needs a new one."""
    await desk.seed("a")
    lost = AsyncReader(valkey.url, {"chat": "x"}, report_url=valkey.url)
    lost.start()
    await eventually(lambda: lost.primary("chat") == "a")
    ours = [task for task in asyncio.all_tasks() if task.get_name().startswith("prober-")]
    for task in ours:
        task.cancel()
    await asyncio.wait(ours)
    await lost.close()
    await desk.flip("b")
    async with AsyncReader(valkey.url, {"chat": "x"}) as reader:
        await eventually(lambda: reader.primary("chat") == "b")


@pytest.mark.parametrize(("method", "task"), [("read", "prober-reader"), ("add", "prober-reports")])
async def test_a_cancellation_that_redis_py_swallows_ends_the_worker_all_the_same(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, method: str, task: str
) -> None:
    """Else `asyncio.run` of an application that only cancels its tasks would never return."""
    asked = asyncio.Event()

    async def swallowing(self: AsyncRedisSource, *_: object) -> object:
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
        raise RedisConnectionError("cut off")

    monkeypatch.setattr(AsyncRedisSource, method, swallowing)
    reader = AsyncReader(valkey.url, {"chat": "x"}, report_url=valkey.url)
    reader.start()
    reader.report("x", ok=True)
    await asked.wait()
    [worker] = [each for each in asyncio.all_tasks() if each.get_name() == task]
    worker.cancel()
    done, _ = await asyncio.wait([worker], timeout=20)
    assert done == {worker}
    monkeypatch.undo()
    await reader.close()


async def test_a_reader_that_is_opened_again_reports_again(desk: Desk, valkey: Valkey) -> None:
    reader = AsyncReader(valkey.url, {"chat": "x"}, report_url=valkey.url)
    async with reader:
        pass
    async with reader:
        reader.report("a", ok=True)

        async def sent() -> int:
            return int(await desk.client.xlen(desk.keys.reports))

        await eventually(sent)


def test_a_loop_that_ended_is_let_go(own_valkey: Valkey) -> None:
    """A function that calls asyncio.run for each request must not keep a socket from each."""

    async def once() -> None:
        AsyncReader(own_valkey.url, {"chat": "x"}).start()
        await asyncio.sleep(0)

    for _ in range(3):
        asyncio.run(once())
    gc.collect()
    assert not [loop for loop in _hubs if loop.is_closed()]
