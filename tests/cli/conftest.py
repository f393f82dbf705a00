from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prober.cli.app import app

Prober = Callable[..., Awaitable[Result]]


@pytest.fixture
def prober(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prober:
    """Runs the command as a person would, beside a running daemon."""
    monkeypatch.setenv("PROBER_CONFIG", str(tmp_path / "prober.toml"))
    monkeypatch.setenv("COLUMNS", "200")

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words))

    return run
