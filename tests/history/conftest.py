"""Every test that takes an `engine` runs over SQLite and over a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from prober.history.store.schema import open_engine
from tests.support.servers import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/prober.db"
    else:
        server: Postgres = request.getfixturevalue("postgresql")
        name = f"t{uuid4().hex}"
        server.create(name)
        url = server.url_of(name)
    opened = open_engine(url)
    yield opened
    opened.dispose()
