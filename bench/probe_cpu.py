"""CPU time of `probe()`, of the measuring process only.

Against: the bare httpx streaming call that it wraps, over the same client, connection and
emulator endpoint, without parsing, deadlines or trace. Both in short batches that alternate, so
that drift meets both; the ratio is that of the medians.

Target: at most 1.25 times the bare call, for each API.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

from bench import canaries
from bench.row import Row
from bench.servers import emulator
from prober.clock import Clock
from prober.probing.network import Network
from prober.providers import ADAPTERS

LIMIT = 1.25
BATCHES = 60
BATCH = 10


def measure() -> list[Row]:
    with emulator(ttft_s=0, tokens_pause_s=0) as url:
        return asyncio.run(_rows(url))


async def _rows(url: str) -> list[Row]:
    return [await _row(api, url) for api in ADAPTERS]


async def _row(api: str, url: str) -> Row:
    plan, clock = canaries.plan(api, url), Clock()
    asked = canaries.request(plan)
    async with Network() as network:

        async def ours() -> None:
            await canaries.canary(plan, network, clock)

        async def bare() -> None:
            await canaries.bare(asked, network.kept)

        spent: dict[Callable[[], Awaitable[None]], list[float]] = {ours: [], bare: []}
        order = [ours, bare]
        for _ in range(BATCHES + 1):
            for work in order:
                spent[work].append(await _cpu_s(work))
            # Whoever came last comes first.
            order.reverse()
    # The first batch warms up.
    ours_ms, bare_ms = (median(spent[work][1:]) * 1e3 for work in (ours, bare))
    return Row(f"probe, CPU ({api})", "bare httpx stream", "ms", ours_ms, bare_ms, LIMIT)


async def _cpu_s(work: Callable[[], Awaitable[None]]) -> float:
    began_s = time.process_time()
    for _ in range(BATCH):
        await work()
    return (time.process_time() - began_s) / BATCH
