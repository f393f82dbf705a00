"""What an application pays for `Reader.report()`, with its worker on and a real Redis behind it.

Against: one microsecond, and a bare method that appends a tuple to a deque.

Target: one microsecond at most, and at most 3 times the bare method. What the worker then spends
on counting each is a row of its own: the caller does not wait for it, its process pays for it.
"""

from __future__ import annotations

import time
from collections import deque
from statistics import median
from timeit import Timer

from bench.row import Row
from bench.servers import valkey
from switch.flag import Keys
from switch.reader import Reader
from switch.reports import ReportTally

METHOD_LIMIT = 3.0
BATCHES = 50
CALLS = 5_000


class Bare:
    def __init__(self) -> None:
        self._waiting: deque[tuple[str, bool, float]] = deque(maxlen=10_000)

    def report(self, provider: str, ok: bool, ttft_s: float) -> None:
        self._waiting.append((provider, ok, ttft_s))


def measure() -> list[Row]:
    tally = ReportTally([Keys("chat")])

    def counted() -> None:
        tally.note((None, "anthropic", True, 0.4))

    with valkey() as url, Reader(url, {"chat": "anthropic"}, report_url=url) as reader:
        timers = {
            "report": Timer(
                "call('anthropic', ok=True, ttft_s=0.4)", globals={"call": reader.report}
            ),
            "bare": Timer("call('anthropic', True, 0.4)", globals={"call": Bare().report}),
        }
        spent: dict[str, list[float]] = {name: [] for name in (*timers, "counting")}
        for _ in range(BATCHES):
            for name, timer in timers.items():
                spent[name].append(timer.timeit(CALLS) / CALLS * 1e9)
            Timer(counted).timeit(CALLS)
            spent["counting"].append(Timer(tally.drain).timeit(1) / CALLS * 1e9)
            # The worker's turn; a second's reports are bounded.
            time.sleep(CALLS / 25_000)
    ns = {name: median(values) for name, values in spent.items()}
    return [
        Row("Reader.report()", "one microsecond", "ns", ns["report"], 1000.0, 1.0),
        Row("Reader.report()", "bare method", "ns", ns["report"], ns["bare"], METHOD_LIMIT),
        Row("counting one report, later", "one microsecond", "ns", ns["counting"], 1000.0),
    ]
