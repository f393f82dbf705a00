"""Reports from applications: cheap to give, bounded, and sent once a second."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from switch import Reader
from switch.flag import Keys
from switch.reports import (
    BOUNDS_MS,
    MAX_PROVIDERS,
    MAX_WAITING,
    STREAM_LENGTH,
    Count,
    Report,
    ReportTally,
    decode_report,
    encode_report,
)
from tests.support.servers import Valkey
from tests.switch.reader_stage import NEVER_S, NOWHERE, Clock, Make
from tests.switch.switch_redis import KEYS, Desk, eventually

CHAT, MAIL = Keys("chat"), Keys("mail")
REPORT = Report(
    "0123456789abcdef", 3, 1_800_000_000_000, 1_000, 1,
    {"a": Count(4, 1, 3, 1500, 900, (1, 1, 1, 0, 0, 0, 0, 0)), "b": Count(0, 2)},
)  # fmt: skip


def tally(*routes: Keys) -> tuple[ReportTally, Clock]:
    clock = Clock()
    return ReportTally(routes or (CHAT,), clock, lambda: 1_800_000_000.0), clock


def note(
    to: ReportTally, provider: Any = "a", ok: Any = True, ttft_s: Any = None, route: Any = None
) -> None:
    to.note((route, provider, ok, ttft_s))


# -- counting ----------------------------------------------------------------------------------


def test_nothing_to_say_is_not_said() -> None:
    assert tally()[0].drain() == []


def test_a_window_is_counted_by_provider_and_then_closed() -> None:
    mine, clock = tally()
    for ok in (True, True, False):
        note(mine, "a", ok)
    note(mine, "b", False)
    clock.now_s += 1.25
    [(keys, report)] = mine.drain()
    assert keys == CHAT
    assert report.counts == {"a": Count(2, 1), "b": Count(0, 1)}
    assert (report.seq, report.start_ms, report.span_ms) == (1, 1_800_000_000_000, 1250)
    assert mine.drain() == []
    note(mine)
    assert mine.drain()[0][1].seq == 2


@pytest.mark.parametrize(
    ("ttft_s", "bucket"),
    [(0.0, 0), (0.25, 0), (0.2501, 1), (1.0, 2), (16.0, 6), (16.001, 7), (3600.0, 7)],
)
def test_a_time_to_first_text_falls_into_its_bucket(ttft_s: float, bucket: int) -> None:
    mine, _ = tally()
    note(mine, ttft_s=ttft_s)
    count = mine.drain()[0][1].counts["a"]
    assert count.ttft_under == tuple(int(n == bucket) for n in range(len(BOUNDS_MS) + 1))
    assert (count.ttft_n, count.ttft_sum_ms, count.ttft_max_ms) == (
        1, round(ttft_s * 1000), round(ttft_s * 1000),
    )  # fmt: skip


@pytest.mark.parametrize("ttft_s", [None, -1.0, float("nan"), float("inf"), "0.3", True, 1.8e9])
def test_what_is_no_time_to_first_text_still_counts_as_a_call(ttft_s: Any) -> None:
    mine, _ = tally()
    note(mine, ttft_s=ttft_s)
    assert mine.drain()[0][1].counts == {"a": Count(1, 0)}


def test_routes_are_counted_apart_and_only_a_single_one_may_be_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mine, _ = tally(CHAT, MAIL)
    note(mine, "a", route="chat")
    note(mine, "b", route="mail")
    for route in (None, "chatt", 7, []):
        note(mine, "a", route=route)
    found = {keys.route: report.counts for keys, report in mine.drain()}
    assert found == {"chat": {"a": Count(1, 0)}, "mail": {"b": Count(1, 0)}}
    assert [r.getMessage() for r in caplog.records] == [
        'a report names no route of this reader: write reader.report("anthropic", ok=True, '
        'route="chat")'
    ]


@pytest.mark.parametrize("provider", ["", "Big", None, 7, "x" * 65, ["a"], {"a": 1}])
def test_what_names_no_provider_is_dropped_counted_and_told_once(
    provider: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mine, _ = tally()
    note(mine, "a")
    note(mine, provider)
    note(mine, provider)
    report = mine.drain()[0][1]
    assert (report.counts, report.dropped) == ({"a": Count(1, 0)}, 2)
    assert len(caplog.records) == 1


def test_what_cannot_even_describe_itself_is_dropped() -> None:
    class Broken(str):
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __format__ = __hash__ = __repr__  # type: ignore[assignment]

    class Mute:
        __repr__ = __eq__ = Broken.__repr__  # type: ignore[assignment]
        __hash__ = None  # type: ignore[assignment]

    mine, _ = tally()
    for provider in (Broken("No!"), Mute()):
        note(mine, provider)
        note(mine, "a", route=provider)
    note(mine, "a")
    report = mine.drain()[0][1]
    assert (report.counts, report.dropped) == ({"a": Count(1, 0)}, 2)


def test_memory_is_bounded_whatever_comes(caplog: pytest.LogCaptureFixture) -> None:
    mine, _ = tally()
    for number in range(MAX_WAITING + 500):
        note(mine, f"p{number % 200}")
    report = mine.drain()[0][1]
    assert len(report.counts) == MAX_PROVIDERS
    assert sum(c.ok for c in report.counts.values()) + report.dropped == MAX_WAITING
    assert len(caplog.records) <= MAX_PROVIDERS


def test_a_fork_starts_anew_under_another_name() -> None:
    mine, _ = tally()
    note(mine)
    before = mine.process
    mine.restart()
    assert mine.drain() == []
    assert mine.process != before


def test_every_thread_is_counted() -> None:
    mine, _ = tally()
    total, stop = 0, threading.Event()

    def give() -> None:
        for _ in range(5_000):
            note(mine)

    threads = [threading.Thread(target=give) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        total += sum(report.counts["a"].ok for _, report in mine.drain())
    stop.set()
    total += sum(report.counts["a"].ok for _, report in mine.drain())
    assert total == 20_000


# -- encoding ----------------------------------------------------------------------------------


def test_a_report_survives_encoding() -> None:
    assert decode_report(encode_report(REPORT)) == REPORT


def test_a_report_is_encoded_to_the_letter() -> None:
    assert encode_report(REPORT) == {
        "v": "1",
        "process": "0123456789abcdef",
        "seq": "3",
        "start_ms": "1800000000000",
        "span_ms": "1000",
        "dropped": "1",
        "counts": '{"a":{"ok":4,"bad":1,"ttft":{"n":3,"sum_ms":1500,"max_ms":900,'
        '"under":[1,1,1,0,0,0,0,0]}},"b":{"ok":0,"bad":2}}',
    }


@pytest.mark.parametrize(
    "change",
    [
        {"v": "2"}, {"seq": "x"}, {"seq": "-1"}, {"span_ms": ""}, {"counts": "{"}, {"counts": "[]"},
        {"counts": '{"a":1}'}, {"counts": '{"a":{"ok":1}}'}, {"counts": '{"a":{"ok":-1,"bad":0}}'},
        {"counts": '{"a":{"ok":true,"bad":0}}'}, {"counts": '{"a":{"ok":1e99,"bad":0}}'},
        {"counts": '{"a":{"ok":1,"bad":0,"ttft":{"n":1,"sum_ms":1,"max_ms":1,"under":[1]}}}'},
        {"counts": "[" * 100_000},
        {"counts": json.dumps({f"p{n}": {"ok": 1, "bad": 0} for n in range(MAX_PROVIDERS + 1)})},
    ],
)  # fmt: skip
def test_what_cannot_be_a_report_is_none(change: dict[str, str]) -> None:
    assert decode_report(encode_report(REPORT) | change) is None


@pytest.mark.parametrize("missing", ["v", "process", "seq", "start_ms", "span_ms", "counts"])
def test_a_report_without_a_part_is_none(missing: str) -> None:
    said = encode_report(REPORT)
    del said[missing]
    assert decode_report(said) is None


# -- sending -----------------------------------------------------------------------------------


async def entries(desk: Desk) -> list[Report]:
    found = [decode_report(entry) for _, entry in await desk.client.xrange(KEYS.reports)]
    assert None not in found
    return [report for report in found if report]


async def test_reports_reach_the_stream_as_one_small_entry(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S, report_url=valkey.url)
    for n in range(100):
        reader.report("anthropic", ok=n % 10 != 0, ttft_s=0.4)
    reader.report("openai", ok=True)

    async def whole() -> bool:
        counts = [report.counts for report in await entries(desk)]
        return sum(c.ok + c.bad for of in counts for c in of.values()) == 101

    await eventually(whole)
    found = await entries(desk)
    assert len(found) <= 2, "one entry a second, whatever the calls"
    assert sum(r.counts["anthropic"].bad for r in found if "anthropic" in r.counts) == 10
    assert len({report.process for report in found}) == 1


async def test_closing_sends_what_is_left(make: Make, desk: Desk, valkey: Valkey) -> None:
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S, report_url=valkey.url)
    reader.report("a", ok=True)
    await reader.close()
    assert [report.counts["a"].ok for report in await entries(desk)] == [1]


async def test_the_stream_is_capped(desk: Desk, valkey: Valkey) -> None:
    async with desk.client.pipeline(transaction=False) as pipe:
        for _ in range(STREAM_LENGTH + 500):
            pipe.xadd(KEYS.reports, {"x": ""})
        await pipe.execute()
    reader = Reader(valkey.url, {"chat": "a"}, poll_s=NEVER_S, report_url=valkey.url)
    reader.report("a", ok=True)
    await asyncio.to_thread(reader.close)
    assert await desk.client.xlen(KEYS.reports) < STREAM_LENGTH + 200


async def test_without_a_server_reports_cost_nothing_and_are_dropped(make: Make) -> None:
    reader = make(NOWHERE, {"chat": "a"}, report_url=NOWHERE)
    for _ in range(1000):
        reader.report("a", ok=True)
    tally = reader.reader._tally
    await eventually(lambda: len(tally._waiting) == 0)


async def test_a_frozen_server_of_reports_holds_up_neither_caller_nor_flag(
    make: Make, desk: Desk, valkey: Valkey, own_valkey: Valkey
) -> None:
    await desk.seed("a")
    own_valkey.process.send_signal(19)
    try:
        reader = make(valkey.url, {"chat": "x"}, poll_s=NEVER_S, report_url=own_valkey.url)
        await reader.serves("a")
        began = time.process_time()
        for _ in range(1000):
            reader.report("a", ok=True)
        assert time.process_time() - began < 1.0
        await desk.flip("b")
        await reader.serves("b")
        await reader.close()
    finally:
        own_valkey.process.send_signal(18)


async def test_without_a_url_reports_go_nowhere(make: Make, desk: Desk, valkey: Valkey) -> None:
    reader = make(valkey.url, {"chat": "a"}, poll_s=NEVER_S)
    reader.report("a", ok=True)
    await reader.close()
    assert await entries(desk) == []


async def test_a_report_never_raises_whatever_it_is_given(make: Make) -> None:
    reader = make(NOWHERE, {"chat": "a"}, report_url=NOWHERE)
    for provider in (None, 7, object(), [], "é" * 1000):
        reader.report(provider, ok=object(), ttft_s=object(), route=object())
        reader.report(provider, ok=None, ttft_s="soon", route=["chat"])
    await reader.close()
