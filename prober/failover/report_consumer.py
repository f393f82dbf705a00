"""Reads what applications report and hands it to the judge. Never holds judging up.

Only what comes from now on counts, and only so much of it: Redis away, or a stream that runs
ahead, means no reports, and canaries judge alone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.exceptions import RedisError

from switch.reports import decode_report

if TYPE_CHECKING:
    from prober.clock import Clock
    from prober.failover.judge import Judge
    from prober.failover.route_state import RouteState

log = logging.getLogger(__name__)

EVERY_S = 0.5
# Answers are parsed in the event loop: a larger one would hold up canaries.
AT_ONCE = 250
# A thousand processes write so many in a second; what is beyond that is passed over.
MOST = 2_000
# Older ones say nothing about now.
OLDEST_S = 10.0
NOTHING = "0-0"


class ReportConsumer:
    """One small loop over the streams of all routes.

    Attributes:
        passed_over: entries that could not be read, or were too many.
    """

    def __init__(self, client: Redis, judge: Judge, clock: Clock) -> None:
        self._client = client
        self._judge = judge
        self._clock = clock
        self._last: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._stopping = False
        self.passed_over = 0

    def stop(self) -> None:
        self._stopping = True

    async def run(self) -> None:
        """Reads until `stop`."""
        while not self._stopping:
            for state in list(self._judge.states.values()):
                if state.route.reports.enabled and not state.other:
                    await self._try(state)
            await asyncio.sleep(EVERY_S)

    async def _try(self, state: RouteState) -> None:
        try:
            await self.read(state)
            self._told.pop(state.name, None)
        except (RedisError, OSError) as error:
            # What is written while we cannot look is old by the time we can.
            self._last.pop(state.name, None)
            if self._told.get(state.name) != str(error):
                log.info("%s: no reports: %s", state.name, error)
            self._told[state.name] = str(error)

    async def read(self, state: RouteState) -> None:
        """Takes what has come since the last look. Raises RedisError, OSError."""
        key = state.keys.reports
        for _ in range(MOST // AT_ONCE):
            seconds, micros = await self._client.time()
            now_ms, now_s = seconds * 1000 + micros // 1000, self._clock.mono()
            last = self._last.get(state.name)
            if last is None or _ms(last) > now_ms + 1_000:
                last = self._last[state.name] = await self._from(key, last)
            batches = await self._client.xread({key: last}, count=AT_ONCE)
            # RESP3 gives a map of lists of batches, RESP2 a list of pairs.
            entries = _entries(batches)
            for id, fields in entries:
                self._last[state.name] = id
                age_s = max(0.0, (now_ms - _ms(id)) / 1000)
                report = decode_report(fields) if fields and age_s <= OLDEST_S else None
                if report is None or len(report.process) > 64:
                    self.passed_over += 1
                else:
                    state.reported(report, now_s - age_s)
            if entries and any(tracker.suspect for tracker in state.trackers.values()):
                self._judge.wake()
            if len(entries) < AT_ONCE:
                return
        # There is more than we take in: go on from now.
        self._last.pop(state.name, None)
        self.passed_over += 1

    async def _from(self, key: str, last: str | None) -> str:
        """Where to read on at the first look, or when the clock of Redis went back.

        Ids never go back, so entries may come from the future for a while: those that were read
        must not be read again. Only a stream that was lost begins anew.
        """
        entries = await self._client.xrevrange(key, count=1)
        newest = str(entries[0][0]) if entries else NOTHING
        return last if last is not None and _place(newest) >= _place(last) else newest


def _ms(id: str) -> int:
    return _place(id)[0]


def _place(id: str) -> tuple[int, int]:
    ms, _, number = id.partition("-")
    return int(ms), int(number)


def _entries(reply: object) -> list[tuple[str, dict[str, str]]]:
    """The entries of the one stream that was asked for, whichever protocol answered."""
    if isinstance(reply, dict):
        batches: list[list[tuple[str, dict[str, str]]]] = next(iter(reply.values()), [])
        return [(id, fields) for batch in batches for id, fields in batch]
    if isinstance(reply, list) and reply:
        return list(reply[0][1])
    return []
