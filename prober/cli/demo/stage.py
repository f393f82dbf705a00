"""The demo's stage: emulator, webhook, configuration and the daemon, all on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prober.daemon import embedded_redis
from prober.emulator import Emulator, started

CONFIG = """
[daemon]
state_dir = "{folder}"

[redis]
port = {redis_port}

[canary]
interval = "1s"
suspect_interval = "200ms"
first_text_timeout = "2s"
timeout = "4s"
daily_budget_usd = 100.0

[[provider]]
name = "anthropic"
api = "anthropic"
model = "claude-demo"
base_url = "{url}"
key = {{ env = "DEMO_KEY" }}
price = {{ input = 1.0, output = 5.0 }}
failure_domains = ["anthropic"]

[[provider]]
name = "openai"
api = "openai"
model = "gpt-demo"
base_url = "{url}/v1"
key = {{ env = "DEMO_KEY_2" }}
price = {{ input = 1.0, output = 4.0 }}
failure_domains = ["openai"]

[[route]]
name = "chat"
mode = "auto"
candidates = ["anthropic", "openai"]

[route.objectives]
availability = 0.99

[route.detector]
min_span = "3s"

[route.failover]
failback = "auto"
healthy_for = "4s"

[[alert]]
name = "oncall"
url = {{ env = "DEMO_WEBHOOK" }}
"""


@dataclass
class Webhook:
    """A local receiver of alerts: what a chat service would be."""

    port: int
    received: list[tuple[float, str, str]] = field(default_factory=list)

    def titles(self) -> list[str]:
        return [title for _, title, _ in self.received]


@dataclass
class Stage:
    folder: Path
    emulator: Emulator
    webhook: Webhook
    redis_url: str
    log: Path


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def _webhook() -> Iterator[Webhook]:
    class HookHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            decoded: dict[str, Any] = json.loads(body)
            hook.received.append(
                (time.time(), decoded.get("title", ""), decoded.get("message", ""))
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), HookHandler)
    hook = Webhook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Sets everything up, starts the daemon, and takes all of it down again."""
    with started() as emulator, _webhook() as webhook:
        config = folder / "prober.toml"
        config.write_text(
            CONFIG.format(folder=folder, url=emulator.url, redis_port=_free_port()), "utf-8"
        )
        environment = {
            **os.environ,
            "DEMO_KEY": "demo-key-anthropic",
            "DEMO_KEY_2": "demo-key-openai",
            "DEMO_WEBHOOK": f"json://127.0.0.1:{webhook.port}/",
            "NO_PROXY": "127.0.0.1",
            "NOTIFY_SOCKET": "",
        }
        log = folder / "daemon.log"
        with log.open("wb") as file:
            daemon = subprocess.Popen(  # noqa: S603 -- ourselves
                [sys.executable, "-m", "prober", "run", "--config", str(config)],
                stdout=file,
                stderr=file,
                env=environment,
            )
        try:
            redis_url = _redis_url(folder, daemon, log)
            yield Stage(folder, emulator, webhook, redis_url, log)
        finally:
            # A second Ctrl-C must not leave half of it standing.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _end(daemon)
            if server := embedded_redis.find(folder / "redis"):
                embedded_redis.stop(server)


def _redis_url(folder: Path, daemon: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + 20
    while time.monotonic() < until and daemon.poll() is None:
        server = embedded_redis.find(folder / "redis")
        if server is not None and embedded_redis.answers(server):
            return server.tcp_url
        time.sleep(0.05)
    raise RuntimeError(f"the daemon did not start:\n{log.read_text('utf-8')[-2000:]}")


def _end(daemon: subprocess.Popen[bytes]) -> None:
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=8)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
