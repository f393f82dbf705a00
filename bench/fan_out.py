"""A flip that reaches 1,000 AsyncReaders of one process: from PUBLISH to the last callback.

Against: redis-py's own pub/sub, 1,000 subscribers with a connection each in the same process, on
the same server, in rounds that alternate with ours. The 99th percentile over all of them.

Target: at most 1.5 times.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import quantiles
from typing import Any

import redis.asyncio

from bench.row import Row
from bench.servers import valkey
from switch.async_reader import AsyncReader
from switch.flag import Keys

READERS = 1_000
ROUNDS = 20
WARM = 3
LIMIT = 1.5
NAMES = ("anthropic", "openai")
WITHIN_S = 30.0


def measure() -> list[Row]:
    with valkey() as url:
        ours, bare = asyncio.run(_both(url))
    return [
        Row(
            "flip to 1,000 AsyncReaders, p99", "redis-py pub/sub to 1,000", "ms",
            _p99_ms(ours), _p99_ms(bare), LIMIT,
        )
    ]  # fmt: skip


def _p99_ms(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[98] * 1000


async def _both(url: str) -> tuple[list[float], list[float]]:
    keys = Keys("chat")
    heard_ours: list[float] = []
    heard_bare: list[float] = []
    subscribed: list[str] = []
    async with AsyncExitStack() as stack:
        publisher = redis.asyncio.Redis.from_url(url, decode_responses=True)
        stack.push_async_callback(publisher.aclose)
        epoch = 1

        async def flip() -> float:
            nonlocal epoch
            epoch += 1
            said: dict[Any, Any] = {
                "provider": NAMES[epoch % 2],
                "epoch": epoch,
                "decision_id": f"d{epoch}",
            }
            await publisher.hset(keys.state, mapping=said)
            began = time.perf_counter()
            await publisher.publish(keys.changed, json.dumps(said))
            return began

        async def publish() -> float:
            began = time.perf_counter()
            await publisher.publish("bare", json.dumps({"provider": "x", "epoch": 1}))
            return began

        await flip()
        readers = [
            await stack.enter_async_context(
                AsyncReader(
                    url,
                    {"chat": NAMES[0]},
                    supported={"chat": NAMES},
                    poll_s=600,
                    on_change=lambda *_: heard_ours.append(time.perf_counter()),
                )
            )
            for _ in range(READERS)
        ]
        async with asyncio.TaskGroup() as group:
            bare = [group.create_task(_listen(url, subscribed, heard_bare)) for _ in range(READERS)]
            await _until(lambda: all(r.flag("chat").epoch == epoch for r in readers))
            await _until(lambda: len(subscribed) == READERS)
            heard_ours.clear()
            found: tuple[list[float], list[float]] = [], []
            for number in range(ROUNDS + WARM):
                for send, heard, into in (
                    (flip, heard_ours, found[0]), (publish, heard_bare, found[1]),
                ):  # fmt: skip
                    spent = await _round(send, heard)
                    if number >= WARM:
                        into += spent
            for task in bare:
                task.cancel()
    return found


async def _round(send: Callable[[], Awaitable[float]], heard: list[float]) -> list[float]:
    heard.clear()
    began = await send()
    await _until(lambda: len(heard) >= READERS)
    # A read-back of ours must not fall into the other's round.
    await asyncio.sleep(0.6)
    return [at - began for at in heard]


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not met():  # noqa: ASYNC110 - nothing tells us; we look
            await asyncio.sleep(0.005)


async def _listen(url: str, subscribed: list[str], heard: list[float]) -> None:
    client = redis.asyncio.Redis.from_url(url, decode_responses=True)
    async with client, client.pubsub() as pubsub:
        await pubsub.subscribe("bare")
        async for message in pubsub.listen():
            if message["type"] == "message":
                json.loads(message["data"])
                heard.append(time.perf_counter())
            else:
                subscribed.append(message["channel"])
