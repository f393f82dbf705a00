"""An emulator for each module, healthy before each test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from emulator_wires import NAMES, Asker

from prober.emulator import Emulator, started


@pytest.fixture(scope="module")
def _emulator() -> Iterator[Emulator]:
    with started() as emulator:
        yield emulator


@pytest.fixture
def emulator(_emulator: Emulator) -> Emulator:
    _emulator.reset()
    return _emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, trust_env=False, verify=False, timeout=10) as client:
        yield client


@pytest.fixture(params=NAMES)
def asker(request: pytest.FixtureRequest, client: httpx.Client) -> Asker:
    return Asker(request.param, client)
