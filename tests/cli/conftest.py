from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prober.cli.app import app
from prober.emulator import Emulator, started
from tests.support.stage import Hook, hook

Prober = Callable[..., Awaitable[Result]]


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
def prober(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prober:
    """Runs the command as a person would, beside a running daemon."""
    monkeypatch.setenv("PROBER_CONFIG", str(tmp_path / "prober.toml"))
    monkeypatch.setenv("COLUMNS", "200")

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words))

    return run
