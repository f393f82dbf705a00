from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from prober.emulator import Emulator, started
from tests.support.servers import Postgres
from tests.support.stage import Hook, hook


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with started() as running:
        running.set_faults(ttft_s=0.001)
        yield running


@pytest.fixture
def oncall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setenv("KEY_A", "secret-key-of-a")
    monkeypatch.setenv("KEY_B", "secret-key-of-b")
    with hook() as taken:
        monkeypatch.setenv("HOOK", taken.url)
        yield taken


@pytest.fixture
async def database(postgresql: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database, which configurations with `database="env"` use."""
    name = f"t{uuid4().hex}"
    monkeypatch.setenv("DATABASE", postgresql.url_of(name))
    await asyncio.to_thread(postgresql.create, name)
    return postgresql.url_of(name)
