from __future__ import annotations

from collections.abc import Iterator

import pytest

from prober.emulator import Emulator, started
from tests.support.stage import Hook, hook


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with started() as running:
        running.set_faults(ttft_s=0.001)
        yield running


@pytest.fixture
def oncall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with hook() as taken:
        monkeypatch.setenv("HOOK", taken.url)
        yield taken


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_A", "secret-key-of-a")
    monkeypatch.setenv("KEY_B", "secret-key-of-b")
