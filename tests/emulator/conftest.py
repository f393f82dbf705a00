"""The emulator as it comes, healthy before each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest

from prober.emulator import Emulator
from tests.emulator.emulator_sdks import Contract
from tests.emulator.emulator_wires import NAMES, Asker

VENDORS = ("ANTHROPIC_", "OPENAI_", "AZURE_", "GOOGLE_", "GEMINI_", "OLLAMA_", "MISTRAL_", "AWS_")


@pytest.fixture(scope="module", autouse=True)
def _no_settings_of_the_host() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(VENDORS):
                patch.delenv(name)
        yield


@pytest.fixture
def emulator(served: Emulator) -> Emulator:
    served.reset()
    return served


@pytest.fixture
def client(emulator: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=emulator.url, trust_env=False, verify=False, timeout=10) as client:
        yield client


@pytest.fixture(params=NAMES)
def asker(request: pytest.FixtureRequest, client: httpx.Client) -> Asker:
    return Asker(request.param, client)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tables of an SDK's contract."""
    if metafunc.cls and issubclass(metafunc.cls, Contract):
        for name, table in ("sdk_error", "failures"), ("sdk_in_stream", "in_stream"):
            if name in metafunc.fixturenames:
                rows = getattr(metafunc.cls, table)
                metafunc.parametrize(name, rows, ids=[row.name for row in rows])
