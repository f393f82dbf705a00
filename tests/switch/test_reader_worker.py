"""The readers' workers: callbacks, threads, and faults of our own."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from switch import AsyncReader, Reader
from switch.cached_flag import ANNOUNCED
from switch.flag import Keys
from switch.redis_source import RedisSource
from tests.support.servers import Valkey
from tests.switch.reader_stage import NOWHERE, SOON_S, Make
from tests.switch.switch_redis import Desk, eventually

# -- callbacks ---------------------------------------------------------------------------------


async def test_a_callback_that_hangs_holds_up_nobody_but_itself(desk: Desk, valkey: Valkey) -> None:
    free, told = threading.Event(), threading.Event()

    def hang(*_: str) -> None:
        told.set()
        free.wait(30)

    await desk.seed("a")
    reader = Reader(valkey.url, {"chat": "x"}, poll_s=SOON_S, on_change=hang)
    try:
        await eventually(told.is_set)
        await desk.flip("b")
        await eventually(lambda: reader.primary("chat") == "b")
    finally:
        free.set()
        await asyncio.to_thread(reader.close)


@pytest.mark.parametrize("fault", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_not_even_an_exit_out_of_a_callback_ends_the_reader(
    make: Make, desk: Desk, valkey: Valkey, fault: type[BaseException]
) -> None:
    def leave(*_: str) -> None:
        raise fault

    await desk.seed("a")
    reader = make(valkey.url, {"chat": "x"}, poll_s=SOON_S, on_change=leave)
    await reader.serves("a")
    await desk.flip("b")
    await reader.serves("b")


async def test_a_callback_may_close_and_read(desk: Desk, valkey: Valkey) -> None:
    done = threading.Event()

    def end(*_: str) -> None:
        reader.read_once()
        reader.close()
        done.set()

    await desk.seed("a")
    reader = Reader(valkey.url, {"chat": "x"}, poll_s=SOON_S, on_change=end)
    await eventually(done.is_set)
    assert reader.primary("chat") == "a"


@pytest.mark.parametrize("name", ["on_change", "on_unsupported"])
def test_a_coroutine_function_is_refused_as_a_callback(name: str) -> None:
    async def told(*_: str) -> None: ...

    for kind in (Reader, AsyncReader):
        with pytest.raises(TypeError, match=f"{name} is a coroutine function"):
            kind(NOWHERE, {"chat": "a"}, **{name: told})


# -- the constructor ---------------------------------------------------------------------------


def test_the_constructor_waits_for_no_server_that_never_answers() -> None:
    """A listening socket whose backlog nobody serves: connects, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        silent.settimeout(20)
        with Reader(url, {"chat": "a"}) as reader:
            assert reader.primary("chat") == "a"
            with silent.accept()[0]:
                assert not reader.wait_ready(0)


@pytest.mark.parametrize("url", ["", "http://x", "redis+cluster://", "redis+sentinel://h"])
def test_a_url_that_cannot_be_read_is_refused_at_once(url: str) -> None:
    for kind in (Reader, AsyncReader):
        with pytest.raises(ValueError, match=r"the URL of Redis|write redis\+"):
            kind(url, {"chat": "a"})
        if url:
            with pytest.raises(ValueError, match=r"the URL of Redis|write redis\+"):
                kind(NOWHERE, {"chat": "a"}, report_url=url)


# -- threads -----------------------------------------------------------------------------------


async def test_a_reader_is_shared_by_many_threads(desk: Desk, valkey: Valkey) -> None:
    """Every reading is whole: the reason belongs to the provider, whoever asks meanwhile."""
    await desk.seed("a")
    torn: list[object] = []
    changes: list[tuple[str, ...]] = []
    reader = Reader(
        valkey.url, {"chat": "x"}, poll_s=SOON_S, on_change=lambda *c: changes.append(c)
    )
    await eventually(lambda: reader.flag("chat").epoch > 0)
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            reading = reader.flag("chat")
            if reading.reason not in (
                ANNOUNCED,
                f"{reading.reason.split()[0]} to {reading.provider}",
            ):
                torn.append(reading)
            reader.primary("chat")
            reader.fallbacks("chat")
            reader.read_once()

    with ThreadPoolExecutor(4) as pool:
        looking = [pool.submit(look) for _ in range(4)]
        for turn in range(20):
            await desk.flip("ab"[turn % 2])
        last = "ab"[19 % 2]
        await eventually(lambda: reader.primary("chat") == last)
        stop.set()
        for each in looking:
            await asyncio.to_thread(each.result, 20)
    await asyncio.to_thread(reader.close)
    assert torn == []
    assert all(before[2] == after[1] for before, after in pairwise(changes)), changes


# -- faults of our own -------------------------------------------------------------------------


async def test_a_fault_of_our_own_is_told_and_the_reader_goes_on(
    desk: Desk, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, broken = RedisSource.read, threading.Event()

    def once_broken(self: RedisSource, keys: Keys) -> object:
        if not broken.is_set():
            broken.set()
            raise ZeroDivisionError
        return real(self, keys)

    monkeypatch.setattr(RedisSource, "read", once_broken)
    await desk.seed("a")
    reader = Reader(valkey.url, {"chat": "x"}, poll_s=SOON_S)
    await eventually(lambda: reader.primary("chat") == "a")
    await asyncio.to_thread(reader.close)
    assert "the flag reader failed; it goes on" in caplog.text


def test_a_closed_reader_leaves_no_thread_and_no_descriptor(valkey: Valkey) -> None:
    with Reader(valkey.url, {"chat": "a"}):
        pass
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with Reader(valkey.url, {"chat": "a"}) as reader:
            reader.wait_ready(0.05)
            time.sleep(0)
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) <= files
