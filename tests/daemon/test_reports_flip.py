"""Reports of real readers move the flag of a real daemon, once its canaries agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prober.detection.report_evidence import ReportEvidence
from prober.detection.tracker import Tracker
from prober.emulator import Emulator
from prober.failover.report_consumer import AT_ONCE, MOST
from prober.web import status
from switch import Reader
from switch.flag import Health, Keys
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

REPORTS = Keys("chat").reports


def configured(folder: Path, emulator: Emulator, valkey: Valkey) -> Path:
    """Canaries so slow, and so much evidence asked of them, that alone they would need minutes."""
    path = write_config(folder / "prober.toml", emulator=emulator.url, redis=valkey.url)
    text = path.read_text("utf-8").replace('interval = "100ms"', 'interval = "20s"', 1)
    path.write_text(text.replace('suspect_interval = "25ms"', 'suspect_interval = "300ms"'))
    return path


@asynccontextmanager
async def reporting(valkey: Valkey, ok: int, bad: int) -> AsyncIterator[None]:
    """Three processes' worth of readers that keep telling how their calls to `a` go."""
    readers = [Reader(valkey.url, {"chat": "a"}, report_url=valkey.url) for _ in range(3)]

    async def talk() -> None:
        while True:
            for reader in readers:
                for number in range(ok + bad):
                    reader.report("a", ok=number >= bad, ttft_s=0.2)
            await asyncio.sleep(0.2)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        for reader in readers:
            await asyncio.to_thread(reader.close)


def traffic_of(tracker: Tracker) -> ReportEvidence:
    assert tracker.traffic is not None
    return tracker.traffic


async def test_a_partial_failure_is_left_on_reports_that_canaries_confirm(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = configured(tmp_path, emulator, valkey)
    async with running(path) as daemon:
        chat = daemon.judge.states["chat"]
        await until(lambda: chat.primary == "a", "the flag is seeded")
        tracker = chat.trackers["a"]
        async with reporting(valkey, 2, 1):
            await until(lambda: traffic_of(tracker).suspicious, "reports make it suspect")
            health, why = tracker.health(daemon.clock.mono())
            assert health is Health.SUSPECT
            assert "requests of 3 processes failed" in why
            [route] = status.status(daemon.judge)["routes"]
            assert "of 21 nats" in route["providers"][0]["reports"]
            assert chat.primary == "a", "reports alone move nothing"
            emulator.set_faults(api="anthropic", error_share=0.5, status=529, even=True)
            await until(lambda: chat.primary == "b", "the flag moves", 60)
    assert any("failed over: a → b" in title for title in oncall.titles)


async def test_reports_without_a_canary_that_agrees_move_nothing(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = configured(tmp_path, emulator, valkey)
    async with running(path) as daemon:
        chat = daemon.judge.states["chat"]
        await until(lambda: chat.primary == "a", "the flag is seeded")
        tracker = chat.trackers["a"]
        async with reporting(valkey, 1, 1):
            await until(lambda: traffic_of(tracker).suspicious, "reports make it suspect")
            words = "canaries contradicted them"
            await until(
                lambda: words in traffic_of(tracker).explain(daemon.clock.mono()), words, 60
            )
            assert not tracker.suspect
        assert chat.primary == "a"
        assert tracker.breached == frozenset()


async def test_what_is_old_broken_or_too_much_is_passed_over(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = configured(tmp_path, emulator, own_valkey)
    entry = {
        "v": "1", "process": "f" * 16, "seq": "1", "start_ms": "0", "span_ms": "1000",
        "counts": '{"a":{"ok":5,"bad":0}}',
    }  # fmt: skip

    def write(count: int, **said: str) -> None:
        with own_valkey.client() as client:
            pipe = client.pipeline(transaction=False)
            for _ in range(count):
                pipe.xadd(REPORTS, {**entry, **said})
            pipe.execute()

    await asyncio.to_thread(write, 5)
    async with running(path) as daemon:
        chat, report_consumer = daemon.judge.states["chat"], daemon.report_consumer
        await until(lambda: chat.primary == "a", "the flag is seeded")
        traffic = traffic_of(chat.trackers["a"])
        assert traffic.heard_s < 0, "what was there before we came is none of ours"
        await asyncio.to_thread(write, 3, counts="nonsense")
        await asyncio.to_thread(write, 3, process="p" * 65)
        await until(lambda: report_consumer.passed_over == 6)
        assert traffic.heard_s < 0
        await asyncio.to_thread(write, 1)
        await until(lambda: traffic.heard_s > 0, "an honest one is heard")
        await asyncio.to_thread(write, MOST + AT_ONCE)
        await until(lambda: report_consumer.passed_over == 7, "more than we take in")
        await asyncio.to_thread(own_valkey.stop)
        await until(lambda: not chat.reads, "Redis is away")
        await asyncio.to_thread(own_valkey.start)
        await until(lambda: chat.reads, "and back")
        heard_s = traffic.heard_s
        while traffic.heard_s == heard_s:
            # What is written before the first look is none of ours; the test's time limit ends it.
            await asyncio.to_thread(write, 1)
            await asyncio.sleep(0.05)


async def test_switched_off_nothing_is_read(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = configured(tmp_path, emulator, valkey)
    text = path.read_text("utf-8")
    off = "\n[route.reports]\nenabled = false\n"
    path.write_text(text.replace("\n[route.failover]", f"{off}\n[route.failover]"))
    async with running(path) as daemon:
        chat = daemon.judge.states["chat"]
        await until(lambda: chat.primary == "a", "the flag is seeded")
        assert chat.trackers["a"].traffic is None
        assert not daemon.report_consumer._last
