"""What the tests of prober/ share."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from prober.emulator import Emulator, started
from prober.journal import Journal
from prober.network import Network

# The helper modules beside this file; pytest's importlib mode does not add their folder.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="module")
def _emulator() -> Iterator[Emulator]:
    with started() as emulator:
        yield emulator


@pytest.fixture
def emulator(_emulator: Emulator) -> Emulator:
    """Healthy, and quick."""
    _emulator.reset()
    _emulator.set_faults(ttft_s=0.001)
    return _emulator


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
