"""What the daemon spends on reports: reading, decoding and weighing what 1,000 processes write.

Against: one second of one core. Every process writes one entry a second, so the seconds of CPU
that 1,000 entries take are the share of a core that such a fleet costs the daemon.

Target: a quarter of a core at most.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any

import redis

from bench.row import Row
from bench.servers import valkey
from prober.clock import Clock
from prober.config.defaults import fill_in
from prober.config.schema import Config
from prober.failover.memory import Memory
from prober.failover.report_consumer import ReportConsumer
from prober.failover.route_state import RouteState
from prober.simulation.simulate.virtual_flag import move, show
from switch.connect import connect_async
from switch.reports import Count, Report, encode_report

PROCESSES = 1_000
ROUNDS = 15
LIMIT = 0.25


class _NoLease:
    nonce = "bench"

    async def hold(self) -> bool:
        return True

    async def release(self) -> None:
        return None


class _Judge:
    """Only what the intake asks of one."""

    def __init__(self, state: RouteState) -> None:
        self.states = {state.name: state}

    def wake(self) -> None:
        return None


def _state() -> RouteState:
    """A route that `a` serves."""
    config = fill_in(
        Config.model_validate(
            {
                "provider": [{"name": "a", "api": "openai", "model": "m"}],
                "route": [{"name": "chat", "candidates": ["a"]}],
            }
        )
    )
    state = RouteState(config, config.route[0], _NoLease(), Memory())
    show(state, 0.0, None, ())
    move(state, 0.0, "a", "for the measurement")
    return state


def _write(client: redis.Redis, key: str, seq: int) -> None:
    """A second of a fleet that is half in trouble: evidence is dearer than silence."""
    pipe = client.pipeline(transaction=False)
    for number in range(PROCESSES):
        count = Count(7, number % 3, 9, 4_000, 900, (2, 4, 3, 0, 0, 0, 0, 0))
        report = Report(f"{number:016x}", seq, 0, 1_000, 0, {"a": count})
        said: dict[Any, Any] = {**encode_report(report)}
        pipe.xadd(key, said, maxlen=10_000, approximate=True)
    pipe.execute()


async def _rounds(url: str) -> list[float]:
    state, client = _state(), connect_async(url, timeout_s=5.0)
    report_consumer = ReportConsumer(client, _Judge(state), Clock())  # type: ignore[arg-type]
    writer = redis.Redis.from_url(url)
    spent = []
    await report_consumer.read(state)
    for seq in range(1, ROUNDS + 1):
        await asyncio.to_thread(_write, writer, state.keys.reports, seq)
        began_s = time.process_time()
        await report_consumer.read(state)
        state.trackers["a"].tick(Clock().mono() + 2)
        spent.append(time.process_time() - began_s)
    traffic = state.trackers["a"].traffic
    if report_consumer.passed_over or traffic is None or not traffic.nats:
        raise RuntimeError(
            f"{report_consumer.passed_over} entries were passed over: nothing was measured"
        )
    await client.aclose()
    writer.close()
    return spent


def measure() -> list[Row]:
    with valkey() as url:
        spent = asyncio.run(_rounds(url))
    name = f"reports of {PROCESSES:,} processes, each second"
    return [Row(name, "one core", "ms of CPU", median(spent) * 1000, 1000.0, LIMIT)]
