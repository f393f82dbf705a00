from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import Hook, hook

from prober.emulator import Emulator, started


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
