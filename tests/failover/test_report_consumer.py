"""Each report is taken once, whatever the stream and the clock of Redis do."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from prober.config.schema import Route
from prober.failover.memory import Memory
from prober.failover.report_consumer import OLDEST_S, ReportConsumer
from prober.failover.route_state import RouteState
from switch.reports import Count, Report, encode_report
from tests.support.judge_stage import KEYS, Bench, bench

ROUTE = Route(name="other", candidates=["a"])


class Desk:
    """An intake, and the numbers of the reports that it handed on."""

    def __init__(self, on: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = on
        self.report_consumer = ReportConsumer(on.client, on.judge, on.clock)
        self.taken: list[int] = []
        take = self.taken.append
        monkeypatch.setattr(on.state, "reported", lambda report, at_s: take(report.seq))

    async def write(self, seq: int, id: str = "*") -> None:
        report = Report("p", seq, 0, 1000, 0, {"a": Count(1, 2)})
        await self.on.client.xadd(KEYS.reports, encode_report(report), id=id)

    async def look(self) -> list[int]:
        await self.report_consumer.read(self.on.state)
        taken, self.taken[:] = list(self.taken), []
        return taken

    async def ahead_ms(self, seconds: int) -> int:
        """A moment by Redis TIME that has yet to come."""
        now, _ = await self.on.client.time()
        return (now + seconds) * 1000


@pytest.fixture
async def desk(
    tmp_path: Path, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with bench(tmp_path, redis_client) as on:
        yield Desk(on, monkeypatch)


async def test_only_what_is_written_after_the_first_look_counts(desk: Desk) -> None:
    await desk.write(1)
    assert await desk.look() == []
    await desk.write(2)
    await desk.write(3)
    assert await desk.look() == [2, 3]
    assert await desk.look() == []


async def test_a_redis_whose_clock_went_back_gives_no_report_twice(desk: Desk) -> None:
    """It goes on behind the newest id, in the future, until its clock has come there again."""
    await desk.look()
    await desk.write(1, f"{await desk.ahead_ms(3600)}-0")
    assert await desk.look() == [1]
    assert await desk.look() == []
    await desk.write(2)
    assert await desk.look() == [2]
    assert await desk.look() == []


async def test_reports_from_the_future_that_were_there_at_the_first_look_are_passed_by(
    desk: Desk,
) -> None:
    await desk.write(1, f"{await desk.ahead_ms(3600)}-0")
    assert await desk.look() == []
    await desk.write(2)
    assert await desk.look() == [2]


async def test_a_stream_that_was_lost_on_a_slower_clock_is_read_from_then_on(desk: Desk) -> None:
    await desk.look()
    await desk.write(1, f"{await desk.ahead_ms(3600)}-0")
    assert await desk.look() == [1]
    await desk.on.client.delete(KEYS.reports)
    assert await desk.look() == []
    await desk.write(2)
    assert await desk.look() == [2]


async def test_what_is_old_or_cannot_be_read_is_passed_over_and_counted(desk: Desk) -> None:
    await desk.look()
    now, _ = await desk.on.client.time()
    desk.report_consumer._last["chat"] = f"{now - 60}000-0"
    await desk.write(1, f"{(now - int(OLDEST_S) - 1) * 1000}-0")
    await desk.on.client.xadd(KEYS.reports, {"v": "1", "counts": "{"})
    await desk.write(2)
    assert await desk.look() == [2]
    assert desk.report_consumer.passed_over == 2


async def test_a_stream_that_cannot_be_read_is_told_once_whatever_other_routes_do(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """One route has reports, the other a key of another type."""
    caplog.set_level(logging.INFO, "prober.failover.report_consumer")
    chat = desk.on.state
    other = RouteState(desk.on.judge.config, ROUTE, chat.lease, Memory())
    await desk.on.client.set(other.keys.reports, "not a stream")
    for _ in range(3):
        await desk.report_consumer._try(chat)
        await desk.report_consumer._try(other)
    assert len(caplog.records) == 1
