"""A whole daemon on real servers, with its intervals scaled down."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prober.daemon.daemon import Daemon

CONFIG = """
[daemon]
state_dir = "{folder}"
{daemon}

[redis]
url = "{redis}"

[database]
url = {database}

[canary]
interval = "100ms"
suspect_interval = "25ms"
first_text_timeout = "4s"
timeout = "8s"

[[provider]]
name = "a"
api = "anthropic"
model = "claude-test"
base_url = "{emulator}"
key = {{ env = "KEY_A" }}
failure_domains = ["a"]

[[provider]]
name = "b"
api = "openai"
model = "gpt-test"
base_url = "{emulator}/v1"
key = {{ env = "KEY_B" }}
failure_domains = ["b"]

[[route]]
name = "chat"
mode = "{mode}"
candidates = {candidates}

[route.detector]
min_span = "1s"

[route.failover]
failback = "{failback}"
healthy_for = "{healthy_for}"

{alerts}
"""

# One process that types one command after the other.
SHELL = """
import json, sys
from typer.testing import CliRunner
from prober.cli.app import app
for words in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, words)
    print(json.dumps([done.exit_code, done.output + repr(done.exception or "")]))
"""
ALERT = """
[[alert]]
name = "oncall"
url = { env = "HOOK" }
"""


@dataclass
class Hook:
    """A chat service that takes alerts, or refuses them while `status` is not 200."""

    port: int = 0
    status: int = 200
    letters: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/"

    @property
    def titles(self) -> list[str]:
        return [letter["title"] for letter in self.letters]

    @property
    def bodies(self) -> list[str]:
        return [letter["message"] for letter in self.letters]


@contextmanager
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if taken.status == 200:
                taken.letters.append(json.loads(body))
            else:
                taken.refused += 1
            self.send_response(taken.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    taken = Hook()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def notified() -> Iterator[tuple[str, socket.socket]]:
    with (
        tempfile.TemporaryDirectory(prefix="pn") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.bind(f"{folder}/n")
        sock.settimeout(20)
        yield f"{folder}/n", sock


def hear(sock: socket.socket, words: str) -> str:
    """The next notification that holds `words`."""
    while True:
        said = sock.recv(4096).decode()
        if words in said:
            return said


def write_config(
    path: Path,
    *,
    emulator: str,
    redis: str,
    database: str = "sqlite:///prober.db",
    mode: str = "auto",
    candidates: str = '["a", "b"]',
    failback: str = "auto",
    healthy_for: str = "1s",
    alerts: str = ALERT,
    daemon: str = "",
    more: str = "",
) -> Path:
    text = CONFIG.format(
        folder=path.parent,
        emulator=emulator,
        redis=redis,
        database='{ env = "DATABASE" }' if database == "env" else f'"{database}"',
        mode=mode,
        candidates=candidates,
        failback=failback,
        healthy_for=healthy_for,
        alerts=alerts,
        daemon=daemon,
    )
    path.write_text(text + more, "utf-8")
    return path


def hasty(config: Path) -> Path:
    """The same with canaries that give up soon, for providers that hang."""
    text = config.read_text("utf-8")
    for patient, soon in (('"4s"', '"400ms"'), ('"8s"', '"800ms"')):
        assert patient in text
        text = text.replace(patient, soon)
    config.write_text(text, "utf-8")
    return config


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Daemon]:
    """The daemon, ready; stopped at the end as SIGTERM would."""
    daemon = Daemon(path)
    task = asyncio.create_task(daemon.run())
    ready = asyncio.create_task(daemon.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    ready.cancel()
    if task.done():
        task.result()
    try:
        yield daemon
    finally:
        daemon.stop()
        await asyncio.wait_for(task, 10)


async def until(happened: Callable[[], object], what: str = "", seconds: float = 20.0) -> None:
    """Waits for something to become true; says what did not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"did not happen in {seconds:g} s: {what or happened}"
        await asyncio.sleep(0.01)
