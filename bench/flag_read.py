"""What an application pays for `Reader.primary()`, with a flag in a real Redis and its worker on.

Against: one GET on that Redis over its Unix socket, and a bare method that returns a value of a
dict. In short batches that alternate.

Target: a hundredth of the GET at most, and at most 3 times the bare method.
"""

from __future__ import annotations

from statistics import median
from timeit import Timer

import redis

from bench.row import Row
from bench.servers import valkey
from switch.flag import Keys
from switch.reader import Reader

ROUTE = "chat"
READ_LIMIT = 1 / 100
METHOD_LIMIT = 3.0
FLAG = {"provider": "anthropic", "epoch": "1", "decision_id": "bench"}
BATCHES = 50
CALLS = 20_000
GETS = 200


class Bare:
    def __init__(self) -> None:
        self._served = {ROUTE: "anthropic"}

    def primary(self, route: str) -> str:
        return self._served[route]


def measure() -> list[Row]:
    keys = Keys(route=ROUTE)
    with valkey() as url, redis.Redis.from_url(url, decode_responses=True) as client:
        client.hset(keys.state, mapping=FLAG)
        client.set(keys.primary, "anthropic")
        with Reader(url, {ROUTE: "anthropic"}) as reader:
            if not reader.wait_ready(5):
                raise RuntimeError("the reader did not read its flag within 5 s")
            timers = {
                "read": (Timer("call('chat')", globals={"call": reader.primary}), CALLS),
                "bare": (Timer("call('chat')", globals={"call": Bare().primary}), CALLS),
                "get": (
                    Timer("call(key)", globals={"call": client.get, "key": keys.primary}),
                    GETS,
                ),
            }
            spent: dict[str, list[float]] = {name: [] for name in timers}
            for _ in range(BATCHES):
                for name, (timer, calls) in timers.items():
                    spent[name].append(timer.timeit(calls) / calls * 1e9)
    ns = {name: median(values) for name, values in spent.items()}
    return [
        Row("Reader.primary()", "GET on a local Redis", "ns", ns["read"], ns["get"], READ_LIMIT),
        Row("Reader.primary()", "bare method", "ns", ns["read"], ns["bare"], METHOD_LIMIT),
    ]
