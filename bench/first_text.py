"""How truly `probe()` times the first text, at 100 canaries a second.

Against: the delay that the emulator was told (50 ms); and the first text as a plain socket sees
it, without any HTTP library, at the same rate and in turns. The second takes out what the
emulator itself and the host add (its own handling of a request, timers, wake-ups), so what it
leaves is ours and httpx's.

Target, for both: a median of at most 2 ms more. The 95th percentiles are for orientation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median, quantiles
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench import canaries
from bench.row import Row
from bench.servers import emulator
from prober.clock import Clock
from prober.probing.network import Network

if TYPE_CHECKING:
    from prober.probing.plans import Plan
    from prober.providers.events import HttpRequest

API = "anthropic"
TEXT = b"text_delta"
END = b"\r\n0\r\n\r\n"
DELAY_S = 0.05
ERROR_S = 0.002
RATE = 100
ROUNDS = 5
PROBED_S = 2.0
PLAIN_S = 1.0


def measure() -> list[Row]:
    with emulator(ttft_s=DELAY_S, tokens_pause_s=0) as url:
        return asyncio.run(_rows(canaries.plan(API, url)))


async def _rows(plan: Plan) -> list[Row]:
    clock, plain = Clock(), _Plain(canaries.request(plan))
    async with Network() as network:

        async def ours() -> float:
            phases = (await canaries.canary(plan, network, clock)).phases
            assert phases.first_text_s is not None
            return phases.first_text_s

        probed_s: list[float] = []
        plain_s: list[float] = []
        await _at_rate(ours, 0.5)
        for _ in range(ROUNDS):
            probed_s += await _at_rate(ours, PROBED_S)
            plain_s += await _at_rate(plain.first_text_s, PLAIN_S)
        plain.close()
    delay_ms, slack_ms = DELAY_S * 1e3, ERROR_S * 1e3
    half_ms, tail_ms = _median_and_p95(probed_s)
    plain_half_ms, plain_tail_ms = _median_and_p95(plain_s)
    return [
        Row("first text, median", "emulator's delay", "ms", half_ms, delay_ms,
            (delay_ms + slack_ms) / delay_ms),
        Row("first text, p95", "emulator's delay", "ms", tail_ms, delay_ms),
        Row("first text, median", "plain socket", "ms", half_ms, plain_half_ms,
            (plain_half_ms + slack_ms) / plain_half_ms),
        Row("first text, p95", "plain socket", "ms", tail_ms, plain_tail_ms),
    ]  # fmt: skip


def _median_and_p95(seconds: list[float]) -> tuple[float, float]:
    """In milliseconds."""
    return median(seconds) * 1e3, quantiles(seconds, n=20)[-1] * 1e3


async def _at_rate(work: Callable[[], Awaitable[float]], seconds: float) -> list[float]:
    """Starts on time whatever is still under way, as a schedule does."""
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(round(seconds * RATE)):
            await asyncio.sleep(max(0.0, began_s + number / RATE - time.monotonic()))
            tasks.append(group.create_task(_result(work)))
    return [task.result() for task in tasks]


async def _result(work: Callable[[], Awaitable[float]]) -> float:
    return await work()


class _Plain:
    """The same request over kept sockets, as bytes."""

    def __init__(self, asked: HttpRequest) -> None:
        url = urlsplit(asked.url)
        self._address = url.hostname, url.port
        headers = {
            **asked.headers, "host": url.netloc, "content-length": str(len(asked.body)),
        }  # fmt: skip
        head = [f"{asked.method} {url.path} HTTP/1.1", *(": ".join(h) for h in headers.items())]
        self._request = "\r\n".join([*head, "", ""]).encode() + asked.body
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def first_text_s(self) -> float:
        began_s, first_s, said = time.monotonic(), 0.0, b""
        pair = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
        reader, writer = pair
        writer.write(self._request)
        while not said.endswith(END):
            data = await reader.read(65536)
            if not data:
                raise RuntimeError("the emulator hung up")
            said += data
            if not first_s and TEXT in said:
                first_s = time.monotonic() - began_s
        self._idle.append(pair)
        return first_s

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
