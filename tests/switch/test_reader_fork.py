"""A Reader in prefork servers: the application is loaded once, then forked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx

from switch.reports import decode_report
from tests.support.servers import Valkey
from tests.switch.reader_stage import know
from tests.switch.redis_nodes import free_port
from tests.switch.switch_redis import KEYS, Desk, eventually

WORKERS = 6

FORKING = """
import os, sys, threading, time
from switch import Reader

changes = []
reader = Reader(sys.argv[1], {"chat": "default"}, poll_s=600, snapshot=sys.argv[2],
                report_url=sys.argv[1], on_change=lambda *c: changes.append(c))
closed = Reader(sys.argv[1], {"chat": "default"}, poll_s=600)
closed.close()
assert reader.wait_ready(20)

# Somebody is always inside the reader, so a lock is held at some of the forks.
stop = threading.Event()
def look():
    while not stop.is_set():
        reader.flag("chat")
threading.Thread(target=look, daemon=True).start()
reader.report("parent", ok=True)
print("ready", flush=True)
sys.stdin.readline()

def follow(name):
    until = time.monotonic() + 20
    while reader.primary("chat") != "b" and time.monotonic() < until:
        time.sleep(0.01)
    reader.report(name, ok=True)
    while not changes and time.monotonic() < until:
        time.sleep(0.01)
    return reader.primary("chat") == "b" and bool(changes)

def work(number):
    changes.clear()
    assert reader.wait_ready(20)
    if number == 0:  # a worker that forks again
        grandchild = os.fork()
        if grandchild == 0:
            changes.clear()
            assert reader.wait_ready(20)
            os.write(1, b"forked\\n")  # print would write the line in two parts
            good = follow("grandchild")
            reader.close()
            os._exit(7 if good else 8)
    os.write(1, b"forked\\n")  # print would write the line in two parts
    good = follow(f"worker{number}")
    reader.close()
    if number == 0:
        good = good and os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 7
    os._exit(7 if good else 8)

children = []
for number in range(int(sys.argv[3])):
    child = os.fork()
    if child == 0:
        work(number)
    children.append(child)
statuses = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
good = follow("parent")
stop.set()
reader.close()
sys.exit(0 if good and statuses == {7} else 1)
"""


async def test_a_running_reader_goes_on_in_every_forked_worker_and_in_the_parent(
    desk: Desk, valkey: Valkey, tmp_path: Path
) -> None:
    await desk.seed("a")
    await know(desk, "a", "b")
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORKING, valkey.url, str(tmp_path / "f"), str(WORKERS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    async with asyncio.timeout(60):
        assert await program.stdout.readline() == b"ready\n"
        program.stdin.write(b"fork\n")
        for _ in range(WORKERS + 1):
            assert await program.stdout.readline() == b"forked\n"
        await desk.flip("b")
        assert await program.wait() == 0
    found = [decode_report(entry) for _, entry in await desk.client.xrange(KEYS.reports)]
    said = {name: r.process for r in found if r for name in r.counts if name != "parent"}
    names = {"grandchild", *(f"worker{number}" for number in range(WORKERS))}
    assert set(said) == names
    assert len(set(said.values())) == len(names), "each process has an id of its own"
    # Counted before the forks, and so sent by one process alone.
    assert sum(r.counts["parent"].ok for r in found if r and "parent" in r.counts) == 2


async def test_gunicorns_preloaded_workers_all_follow_a_flip(desk: Desk, valkey: Valkey) -> None:
    await desk.seed("a")
    await know(desk, "a", "b")
    port = free_port()
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--no-control-socket"),
        *("--bind", f"127.0.0.1:{port}", "--log-level", "warning", "prefork_app:app"),
        cwd=Path(__file__).parent,
        env=os.environ | {"FLAG_URL": valkey.url},
    )
    try:
        async with httpx.AsyncClient(trust_env=False) as http:

            async def workers() -> dict[str, str]:
                """process id -> the provider it answered last, over some requests."""
                said = {}
                for _ in range(12):
                    answer = await http.get(f"http://127.0.0.1:{port}/")
                    pid, provider = answer.text.split()
                    said[pid] = provider
                return said

            async def all_serve(provider: str) -> bool:
                try:
                    seen.update(await workers())
                except httpx.TransportError:
                    return False
                return len(seen) >= 2 and set(seen.values()) == {provider}

            seen: dict[str, str] = {}
            await eventually(lambda: all_serve("a"))
            await desk.flip("b")
            await eventually(lambda: all_serve("b"))
            assert str(program.pid) not in seen

            async def reported() -> bool:
                entries = await desk.client.xrange(KEYS.reports)
                reports = [decode_report(entry) for _, entry in entries]
                return len({r.process for r in reports if r}) >= len(seen)

            await eventually(reported)
    finally:
        program.send_signal(signal.SIGTERM)
        await program.wait()
