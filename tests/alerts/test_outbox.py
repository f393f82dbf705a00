"""The outbox: on disk first, delivered until taken, and no channel waits for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from prober.alerts import outbox as module
from prober.alerts.event import AlertEvent, Letter, Severity, from_record, letter, to_record
from prober.alerts.outbox import Outbox
from prober.config.schema import Alert
from prober.config.secrets import SecretRef
from prober.history.journal import Journal
from tests.support.values import WALL, Rows, StillClock, written

_sleep = asyncio.sleep


def channel(name: str, *events: str) -> Alert:
    return Alert(name=name, url=SecretRef(env="X"), events=events)  # type: ignore[arg-type]


def event(key: str = "k", kind: str = "failed_over") -> AlertEvent:
    return AlertEvent(key, kind, "chat", Severity.WARNING, f"title {key}", "body", 7.0)


@dataclass
class Post:
    """The channels' other end: takes letters, except from channels that are `down`."""

    down: dict[str, int] = field(default_factory=dict)
    taken: list[Letter] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)

    async def __call__(self, item: Letter) -> str:
        self.tried.append(item.channel)
        if self.down.get(item.channel, 0) > 0:
            self.down[item.channel] -= 1
            return "nobody there"
        self.taken.append(item)
        return ""

    def at(self, channel: str) -> list[str]:
        return [item.event.title for item in self.taken if item.channel == channel]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await _sleep(0.001)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none of them is taken."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        await _sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return asked


@asynccontextmanager
async def running(
    journal: Journal, send: Post, *channels: Alert, rows: Rows | None = None
) -> AsyncIterator[Outbox]:
    store = rows.store if rows is not None else None
    box = Outbox(channels, send, journal, store, StillClock(), "local")
    box.start()
    try:
        yield box
    finally:
        await box.close()


async def test_an_event_is_on_disk_and_on_its_way_to_sql_before_it_is_sent(
    journal: Journal,
) -> None:
    rows, seen = Rows(), []

    class Looking(Post):
        async def __call__(self, item: Letter) -> str:
            records = await asyncio.to_thread(written, journal)
            seen.append([record["kind"] for record in records])
            return await super().__call__(item)

    async with running(journal, Looking(), channel("oncall"), rows=rows) as box:
        await box.post(event())
        await until(lambda: not box.unsent)
    assert seen == [["alert"]]
    item = letter(event(), "oncall")
    assert written(journal) == [
        {"kind": "alert", **to_record(item)},
        {"kind": "sent", "id": item.id, "channel": "oncall", "at": WALL + 100},
    ]
    first, second = rows
    assert (first.table, first.values["sent_at"], first.changes) == ("outbox", None, ())
    assert (second.values["sent_at"], second.changes) == (WALL + 100, ("sent_at",))
    assert first.values["vantage"] == "local"
    assert "key" not in first.values


async def test_an_event_is_delivered_once_to_each_channel_that_wants_it(journal: Journal) -> None:
    post = Post()
    channels = channel("all"), channel("some", "failed_over"), channel("other", "blind")
    async with running(journal, post, *channels) as box:
        await box.post(event())
        await box.post(event())
        await until(lambda: not box.unsent)
    assert sorted(post.tried) == ["all", "some"]
    assert box.delivered == 2


async def test_the_same_event_has_the_same_letter_everywhere() -> None:
    one = letter(event(), "oncall")
    assert one == letter(event(), "oncall")
    assert from_record(to_record(one)) == one
    others = letter(event("other"), "oncall"), letter(event(), "x"), letter(event(kind="pin"), "x")
    assert len({one.id, *(other.id for other in others)}) == 4


async def test_a_channel_is_tried_again_with_growing_pauses(
    journal: Journal, pauses: list[float]
) -> None:
    post = Post(down={"oncall": 11})
    async with running(journal, post, channel("oncall")) as box:
        await box.post(event())
        await until(lambda: not box.unsent)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert post.at("oncall") == ["title k"]


async def test_a_sender_that_raises_is_a_failure_like_any_other(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising(Post):
        async def __call__(self, item: Letter) -> str:
            if not self.tried:
                self.tried.append("")
                raise OSError("no route to host")
            return await super().__call__(item)

    post = Raising()
    with caplog.at_level(logging.WARNING):
        async with running(journal, post, channel("oncall")) as box:
            await box.post(event())
            await until(lambda: not box.unsent)
    assert post.at("oncall") == ["title k"]
    assert "alert channel oncall: OSError; again in 1 s" in caplog.text


async def test_a_channel_that_hangs_delays_no_other(journal: Journal) -> None:
    hanging = asyncio.Event()

    class Hanging(Post):
        async def __call__(self, item: Letter) -> str:
            if item.channel == "dead":
                await hanging.wait()
            return await super().__call__(item)

    post = Hanging()
    async with running(journal, post, channel("dead"), channel("alive")) as box:
        for key in "abc":
            await box.post(event(key))
        await until(lambda: len(post.at("alive")) == 3)
        await until(lambda: {item.channel for item in box.unsent.values()} == {"dead"})
        hanging.set()
        await until(lambda: not box.unsent)
    assert post.at("dead") == ["title a", "title b", "title c"]


async def test_the_third_failure_is_told_through_the_other_channels(journal: Journal) -> None:
    post = Post(down={"dead": 2})
    channels = channel("dead"), channel("x", "blind"), channel("y")
    async with running(journal, post, *channels) as box:
        await box.post(event("a"))
        await until(lambda: not box.unsent)
        assert (post.at("x"), post.at("y")) == ([], ["title a"])
        post.down["dead"] = 5
        await box.post(event("b"))
        await until(lambda: not box.unsent)
        post.down["dead"] = 5
        await box.post(event("c"))
        await until(lambda: not box.unsent)
    told = "Alert channel dead cannot be reached"
    assert post.at("x") == [told]
    # once an hour
    assert post.at("y").count(told) == 1
    assert told not in post.at("dead")
    body = next(item.event.body for item in post.taken if item.event.title == told)
    assert body == "nobody there. I keep trying; alerts meant for it wait."


async def test_what_was_not_sent_is_sent_after_a_restart_and_what_was_is_not(
    journal: Journal,
) -> None:
    dead = Post(down={"b": 10**9})
    async with running(journal, dead, channel("a"), channel("b")) as box:
        await box.post(event())
        await until(lambda: dead.at("a") and len(box.unsent) == 1)
    post, rows = Post(), Rows()
    async with running(journal, post, channel("a"), channel("b"), rows=rows) as box:
        records = written(journal)
        waiting = [record for record in records if record["kind"] == "alert"]
        box.restore(records)
        await until(lambda: not box.unsent)
        # posted again from the flip's record, as start-up does
        await box.post(event())
        await until(lambda: not box.unsent)
    assert post.at("b")[0] == "title k"
    assert post.at("b").count("title k") == 1
    assert "title k" not in post.at("a")
    ids = {record["id"] for record in waiting}
    assert {row.values["id"] for row in rows} == ids
    assert {row.values["id"] for row in rows if row.changes} == ids


async def test_a_kill_between_delivery_and_its_record_sends_it_twice_and_not_never(
    journal: Journal,
) -> None:
    post = Post()
    async with running(journal, post, channel("a")) as box:
        box.restore([{"kind": "alert", **to_record(letter(event(), "a"))}])
        await until(lambda: not box.unsent)
    assert post.at("a") == ["title k"]


async def test_what_only_sql_knows_is_sent_too(journal: Journal) -> None:
    row = to_record(letter(event(), "a"))
    del row["key"]
    post = Post()
    async with running(journal, post, channel("a")) as box:
        box.restore([], [row])
        await until(lambda: not box.unsent)
    assert post.at("a") == ["title k"]


async def test_what_waits_for_a_channel_that_is_gone_is_said_and_kept(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    post = Post()
    with caplog.at_level(logging.WARNING):
        async with running(journal, post, channel("a")) as box:
            box.restore([{"kind": "alert", **to_record(letter(event(), "gone"))}])
            assert (len(box.unsent), post.tried) == (1, [])
            box.configure([channel("gone")], post)
            await until(lambda: not box.unsent)
    assert post.at("gone") == ["title k"]
    assert "alert 'title k' waits for channel 'gone', which is gone" in caplog.text


async def test_new_channels_hold_from_the_next_event_on(journal: Journal) -> None:
    post, other = Post(), Post()
    async with running(journal, post, channel("a")) as box:
        await box.post(event("1"))
        await until(lambda: not box.unsent)
        box.configure([channel("b")], other)
        await box.post(event("2"))
        await until(lambda: not box.unsent)
    assert (post.at("a"), other.at("b"), other.at("a")) == (["title 1"], ["title 2"], [])


def test_the_pauses_begin_at_a_second_and_end_at_five_minutes() -> None:
    assert (module.FIRST_PAUSE_S, module.LONGEST_PAUSE_S, module.TELL_OTHERS_AFTER) == (1, 300, 3)
