"""Reports from applications: counted in memory, sent once a second as one small entry.

A report is one append to a bounded queue. The rest, counting and sending, is a worker's; when
Redis is away that second's counts are dropped, for old counts say nothing about now.
"""

from __future__ import annotations

import bisect
import json
import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from switch.flag import NAME, Keys

log = logging.getLogger("switch")

VERSION = "1"
FLUSH_S = 1.0
STREAM_LENGTH = 10_000
# Upper ends in milliseconds; one more bucket takes the rest.
BOUNDS_MS = (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)
MAX_PROVIDERS = 64
# Drained every second: more than this in one second is no application calling models.
MAX_WAITING = 32_768

CallOutcome = tuple[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Count:
    """What one process saw of one provider in one window.

    Attributes:
        ttft_ms: sum and maximum over `ttft_n` measured first texts.
        ttft_under: how many fell into each bucket of BOUNDS_MS, and beyond.
    """

    ok: int = 0
    bad: int = 0
    ttft_n: int = 0
    ttft_sum_ms: int = 0
    ttft_max_ms: int = 0
    ttft_under: tuple[int, ...] = (0,) * (len(BOUNDS_MS) + 1)


@dataclass(frozen=True, slots=True)
class Report:
    """One entry of the stream `reports`.

    Attributes:
        process: random, new in every process: tells sources apart and names no host.
        seq: grows by one with each entry of this process and route; a gap was lost.
        start_ms: the window's start by the application's clock, which may be wrong; the
            entry's id tells Redis TIME at its end.
        dropped: reports of this window that could not be counted.
    """

    process: str
    seq: int
    start_ms: int
    span_ms: int
    dropped: int = 0
    counts: Mapping[str, Count] = field(default_factory=dict)


def encode_report(report: Report) -> dict[str, str]:
    counts = {
        name: {"ok": c.ok, "bad": c.bad}
        | (
            {
                "ttft": {
                    "n": c.ttft_n,
                    "sum_ms": c.ttft_sum_ms,
                    "max_ms": c.ttft_max_ms,
                    "under": list(c.ttft_under),
                }
            }
            if c.ttft_n
            else {}
        )
        for name, c in report.counts.items()
    }
    return {
        "v": VERSION,
        "process": report.process,
        "seq": str(report.seq),
        "start_ms": str(report.start_ms),
        "span_ms": str(report.span_ms),
        "dropped": str(report.dropped),
        "counts": json.dumps(counts, separators=(",", ":")),
    }


def decode_report(entry: Mapping[str, str]) -> Report | None:
    """One entry of the stream; None when it cannot be read or counts less than nothing."""
    try:
        if entry["v"] != VERSION:
            return None
        counts = {
            name: _count(outcomes)
            for name, outcomes in json.loads(entry["counts"]).items()
            if NAME.match(name)
        }
        report = Report(
            process=entry["process"],
            seq=_natural(int(entry["seq"])),
            start_ms=_natural(int(entry["start_ms"])),
            span_ms=_natural(int(entry["span_ms"])),
            dropped=_natural(int(entry.get("dropped") or 0)),
            counts=counts,
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return report if len(counts) <= MAX_PROVIDERS else None


def _count(fields: Mapping[str, Any]) -> Count:
    ok, bad, ttft = _natural(fields["ok"]), _natural(fields["bad"]), fields.get("ttft")
    if ttft is None:
        return Count(ok, bad)
    under = tuple(_natural(n) for n in ttft["under"])
    if len(under) != len(BOUNDS_MS) + 1:
        raise ValueError("other buckets")
    return Count(
        ok,
        bad,
        _natural(ttft["n"]),
        _natural(ttft["sum_ms"]),
        _natural(ttft["max_ms"]),
        under,
    )


def _natural(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**53:
        raise ValueError(f"{number!r} is no count")
    return number


class _Sum:
    """A Count that is still counting."""

    def __init__(self) -> None:
        self.ok = self.bad = self.ttft_n = self.ttft_max_ms = 0
        self.ttft_sum_ms = 0.0
        self.under = [0] * (len(BOUNDS_MS) + 1)

    def add(self, ok: bool, ttft_s: float | None) -> None:
        if ok:
            self.ok += 1
        else:
            self.bad += 1
        if ttft_s is not None:
            ms = ttft_s * 1000
            self.ttft_n += 1
            self.ttft_sum_ms += ms
            self.ttft_max_ms = max(self.ttft_max_ms, round(ms))
            self.under[bisect.bisect_left(BOUNDS_MS, ms)] += 1

    def count(self) -> Count:
        return Count(
            self.ok, self.bad, self.ttft_n, round(self.ttft_sum_ms), self.ttft_max_ms,
            tuple(self.under),
        )  # fmt: skip


class ReportTally:
    """The reports of one process. `note` may be called from any thread.

    Args:
        clock: monotonic seconds.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        routes: Iterable[Keys],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._keys = {keys.route: keys for keys in routes}
        self._only = next(iter(self._keys)) if len(self._keys) == 1 else None
        self._clock, self._wall = clock, wall
        self._told: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """In a forked child: the parent sends its own counts."""
        self._waiting: deque[CallOutcome] = deque(maxlen=MAX_WAITING)
        self.note = self._waiting.append
        self.process = secrets.token_hex(8)
        self._seq = dict.fromkeys(self._keys, 0)
        self._began_s, self._began_at = self._clock(), self._wall()

    def drain(self) -> list[tuple[Keys, Report]]:
        """Closes the window: one report for each route that has something to say."""
        now_s, now_at = self._clock(), self._wall()
        sums: dict[str, dict[str, _Sum]] = {}
        dropped = dict.fromkeys(self._keys, 0)
        if len(self._waiting) == MAX_WAITING:
            self._say_once(f"more than {MAX_WAITING} reports in a second; the oldest are lost")
        for _ in range(len(self._waiting)):
            note = self._waiting.popleft()
            try:
                self._count(note, sums, dropped)
            except Exception:
                # Somebody's object that fails to be compared or to be true.
                self._say_once("a report cannot be counted: give it names and numbers")
        began_at, span_s = self._began_at, now_s - self._began_s
        self._began_s, self._began_at = now_s, now_at
        reports = []
        for route, of in sums.items():
            self._seq[route] += 1
            counts = {provider: total.count() for provider, total in of.items()}
            reports.append(
                (
                    self._keys[route],
                    Report(
                        self.process,
                        self._seq[route],
                        round(began_at * 1000),
                        max(0, round(span_s * 1000)),
                        dropped[route],
                        counts,
                    ),
                )
            )
        return reports

    def _count(
        self, note: CallOutcome, sums: dict[str, dict[str, _Sum]], dropped: dict[str, int]
    ) -> None:
        route, provider, ok, ttft_s = note
        route = self._only if route is None else route
        if not isinstance(route, str) or route not in self._keys:
            self._say_once(
                "a report names no route of this reader: "
                'write reader.report("anthropic", ok=True, route="chat")'
            )
            return
        of = sums.setdefault(route, {})
        if not isinstance(provider, str) or not NAME.match(provider):
            # Not in its own words: what is no text may fail to describe itself.
            what = repr(provider[:80]) if type(provider) is str else type(provider).__name__
            self._say_once(f"a report on {what} is not counted: no provider's name")
            dropped[route] += 1
        elif provider not in of and len(of) >= MAX_PROVIDERS:
            self._say_once(f"reports on more than {MAX_PROVIDERS} providers are not counted")
            dropped[route] += 1
        else:
            good = bool(ok)
            of.setdefault(str(provider), _Sum()).add(good, _seconds(ttft_s))

    def _say_once(self, line: str) -> None:
        if line not in self._told and len(self._told) < MAX_PROVIDERS:
            self._told.add(line)
            log.warning("%s", line)


def _seconds(ttft_s: object) -> float | None:
    """A usable time to first text; anything else is none."""
    if isinstance(ttft_s, bool) or not isinstance(ttft_s, (int, float)):
        return None
    # A day is no time to first text: it is an epoch that somebody forgot to subtract.
    return float(ttft_s) if math.isfinite(ttft_s) and 0 <= ttft_s < 86_400 else None
