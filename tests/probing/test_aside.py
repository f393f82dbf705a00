"""Foreign code that blocks, apart from everything else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from prober.probing.aside import Aside


async def test_those_who_ask_meanwhile_share_one_run() -> None:
    go, runs = threading.Event(), []

    def work() -> int:
        go.wait(10)
        runs.append(threading.current_thread())
        return len(runs)

    aside = Aside(work, "work")
    asked = [asyncio.create_task(aside()) for _ in range(20)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*asked) == [1] * 20
    assert await aside() == 2, "and the next one has a run of its own"
    assert threading.main_thread() not in runs


async def test_who_gives_up_waiting_stops_nothing() -> None:
    go = threading.Event()
    aside = Aside(lambda: go.wait(10), "work")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await aside()
    waiting = asyncio.create_task(aside())
    go.set()
    assert await waiting is True


async def test_what_is_raised_reaches_everybody_who_asked() -> None:
    def work() -> None:
        raise LookupError("none")

    aside = Aside(work, "work")
    said = await asyncio.gather(aside(), aside(), return_exceptions=True)
    assert [str(error) for error in said] == ["none", "none"]


async def test_names_are_resolved_while_every_run_hangs() -> None:
    """asyncio's own threads, which resolve names, are not used up."""
    go = threading.Event()
    asides = [Aside(lambda: go.wait(30), "work") for _ in range(40)]
    asked = [asyncio.create_task(aside()) for aside in asides]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 9)
    go.set()
    await asyncio.gather(*asked)


async def test_a_program_ends_while_a_run_hangs() -> None:
    code = """
import asyncio, time
from prober.probing.aside import Aside

async def main():
    try:
        async with asyncio.timeout(0.05):
            await Aside(lambda: time.sleep(60), "work")()
    except TimeoutError:
        print("verdict")

asyncio.run(main())
"""
    run = [sys.executable, "-W", "error", "-c", code]
    ended = await asyncio.to_thread(
        subprocess.run, run, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "verdict\n", "")
