"""What readers write into their snapshot, and who wins over it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from switch import Source
from switch.snapshot import RememberedRoute, Snapshot
from tests.support.servers import Valkey
from tests.switch.reader_stage import FAR, NEVER_S, NOWHERE, SOON_S, Make, forge, know
from tests.switch.switch_redis import Desk, eventually


def load(path: Path) -> dict[str, RememberedRoute]:
    return Snapshot(path, "prober", ["chat"]).load()


async def write(path: Path, said: RememberedRoute) -> None:
    await asyncio.to_thread(Snapshot(path, "prober", ["chat"]).save, {"chat": said})


async def test_what_was_read_is_there_for_the_next_process(
    make: Make, desk: Desk, valkey: Valkey, tmp_path: Path
) -> None:
    answer = await desk.seed("a")
    await know(desk, "a", "b", "c")
    make(valkey.url, {"chat": "x"}, poll_s=SOON_S, snapshot=tmp_path / "f")
    await eventually(lambda: load(tmp_path / "f").get("chat"))
    said = load(tmp_path / "f")["chat"]
    assert (said.provider, said.epoch, said.reason) == ("a", answer.epoch, "seed to a")
    later = make(NOWHERE, {"chat": "x"}, snapshot=tmp_path / "f", started=False)
    assert (later.primary("chat"), later.fallbacks("chat")) == ("a", ("b", "c"))
    await desk.flip("b")
    await eventually(lambda: load(tmp_path / "f")["chat"].provider == "b")


async def test_reading_once_writes_it_too(
    make: Make, desk: Desk, valkey: Valkey, tmp_path: Path
) -> None:
    await desk.seed("a")
    reader = make(valkey.url, routes=["chat"], snapshot=tmp_path / "f", started=False)
    await reader.read_once()
    found = await asyncio.to_thread(load, tmp_path / "f")
    assert found["chat"].provider == "a"


async def test_redis_wins_over_the_snapshot_whatever_its_epoch(
    make: Make, desk: Desk, valkey: Valkey, tmp_path: Path
) -> None:
    """A file from another Redis, or a forged one, must not hold out against this one."""
    await write(tmp_path / "f", RememberedRoute("b", FAR))
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "x"}, poll_s=NEVER_S, snapshot=tmp_path / "f")
    await reader.confirms(answer.epoch)
    assert (reader.primary("chat"), reader.flag("chat").source) == ("a", Source.LIVE)
    await eventually(lambda: load(tmp_path / "f")["chat"].epoch == answer.epoch)


async def test_an_empty_redis_leaves_the_snapshot_served(
    make: Make, desk: Desk, valkey: Valkey, tmp_path: Path
) -> None:
    await write(tmp_path / "f", RememberedRoute("b", 7))
    reader = make(valkey.url, {"chat": "x"}, poll_s=NEVER_S, snapshot=tmp_path / "f")
    await eventually(lambda: reader.flag("chat").read_age_s is not None)
    assert (reader.primary("chat"), reader.flag("chat").source) == ("b", Source.SNAPSHOT)
    assert reader.flag("chat").stale
    assert load(tmp_path / "f")["chat"].provider == "b"


async def test_the_last_supported_one_is_remembered(
    make: Make, desk: Desk, valkey: Valkey, tmp_path: Path
) -> None:
    await desk.seed("a")
    said = {"supported": {"chat": ["x", "a"]}, "poll_s": SOON_S, "snapshot": tmp_path / "f"}
    reader = make(valkey.url, {"chat": "x"}, **said)
    await reader.serves("a")
    answer = await desk.flip("new")
    await reader.confirms(answer.epoch)
    await eventually(lambda: load(tmp_path / "f")["chat"].epoch == answer.epoch)
    assert make(NOWHERE, {"chat": "x"}, **said).primary("chat") == "a"


async def test_a_message_alone_is_not_remembered(
    make: Make, desk: Desk, valkey: Valkey, tmp_path: Path
) -> None:
    answer = await desk.seed("a")
    await know(desk, "a", "b")
    reader = make(valkey.url, {"chat": "a"}, poll_s=SOON_S, snapshot=tmp_path / "f")
    await reader.confirms(answer.epoch)
    await forge(desk, "b")
    await reader.serves("b")
    await reader.serves("a")  # many polls, and so many chances to write, later
    assert load(tmp_path / "f")["chat"].provider == "a"
