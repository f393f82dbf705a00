"""A reader in a prefork server."""

from __future__ import annotations

import asyncio
import sys

from reader_stage import know
from servers import Valkey
from switch_redis import Desk

FORKING = """
import os, sys, time
from switch import Reader

reader = Reader(sys.argv[1], {"chat": "default"}, poll_s=600)
closed = Reader(sys.argv[1], {"chat": "default"}, poll_s=600)
closed.close()
assert reader.wait_ready(20)
print("ready", flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    assert reader.wait_ready(20)
    print("forked", flush=True)
until = time.monotonic() + 20
while reader.primary("chat") != "b" and time.monotonic() < until:
    time.sleep(0.01)
if child == 0:
    os._exit(7 if reader.primary("chat") == "b" else 8)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
reader.close()
sys.exit(status)
"""


async def test_a_reader_goes_on_reading_in_a_forked_child(desk: Desk, valkey: Valkey) -> None:
    await desk.seed("a")
    await know(desk, "a", "b")
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FORKING,
        valkey.url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    async with asyncio.timeout(30):
        assert await program.stdout.readline() == b"ready\n"
        program.stdin.write(b"fork\n")
        assert await program.stdout.readline() == b"forked\n"
        await desk.flip("b")
        assert await program.wait() == 7
