"""Fixtures of the readers' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from switch.connect import connect_async
from tests.support.servers import Valkey
from tests.switch.reader_stage import Held, Make
from tests.switch.switch_redis import Desk


@pytest.fixture(params=["thread", "task"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    held: list[Held] = []

    def made(*args: Any, started: bool = True, **said: Any) -> Held:
        held.append(Held(request.param, *args, **said))
        if started and not held[-1].threaded:
            held[-1].reader.start()
        return held[-1]

    yield made
    for each in held:
        await each.close()


@pytest.fixture
async def desk(redis_client: redis.asyncio.Redis) -> Desk:
    return await Desk(redis_client).ready()


@pytest.fixture
async def own_desk(own_valkey: Valkey) -> AsyncIterator[Desk]:
    client = connect_async(own_valkey.url, timeout_s=2.0)
    yield await Desk(client).ready()
    await client.aclose()
