from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.support.servers import Postgres


@pytest.fixture
async def database(postgresql: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database, which configurations with `database="env"` use."""
    name = f"t{uuid4().hex}"
    monkeypatch.setenv("DATABASE", postgresql.url_of(name))
    await asyncio.to_thread(postgresql.create, name)
    return postgresql.url_of(name)
