"""The schema's version. Alembic alone makes and changes tables."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from enum import Enum
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, inspect, make_url

SQLITE_BUSY_S = 5
# alembic's context is one per process.
_MIGRATING = threading.Lock()


class Version(Enum):
    EMPTY = "empty"
    CURRENT = "current"
    OLD = "old"
    NEWER = "newer"


class NewerSchemaError(Exception):
    """The database was made by a later Prober than this one."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What `upgrade` did; `backup` is None where nothing had to be saved by us."""

    before: str | None
    after: str
    backup: Path | None


def open_engine(url: str) -> Engine:
    """An engine that waits briefly for locks. Raises sqlalchemy.exc.ArgumentError for a bad URL."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        # A black hole must look like one: nothing of ours waits for ever.
        waits = {"connect_timeout": 5, "options": "-c statement_timeout=20000"}
        return create_engine(
            parsed, pool_pre_ping=True, pool_size=2, max_overflow=2, connect_args=waits
        )
    engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_S})

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    return engine


def of_installation(engine: Engine, id: str) -> Engine:
    """The same database, of which `queries` show the rows of one installation only."""
    return engine.execution_options(installation=id)


def migrations_folder() -> Path:
    """Inside the wheel, or beside the package in a checkout."""
    with as_file(files("prober")) as package:
        inside = package / "migrations"
        return inside if inside.is_dir() else package.parent / "migrations"


def _alembic(engine: Engine) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["engine"] = engine
    return config


def version(engine: Engine) -> Version:
    """How the database stands to this code. Raises SQLAlchemyError when it cannot be reached."""
    script = ScriptDirectory.from_config(_alembic(engine))
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None:
            return Version.OLD if inspect(connection).has_table("sample") else Version.EMPTY
    if revision == script.get_current_head():
        return Version.CURRENT
    known = {step.revision for step in script.walk_revisions()}
    return Version.OLD if revision in known else Version.NEWER


def upgrade(engine: Engine, installation: str = "") -> Upgrade:
    """Brings the schema to this code's version; an SQLite file is copied beside itself first.

    `installation`: who the rows belong to that are older than installations' ids.
    Raises NewerSchemaError, and SQLAlchemyError when the database cannot be reached.
    """
    stands = version(engine)
    if stands is Version.NEWER:
        raise NewerSchemaError(
            "the database was made by a newer Prober; install that version, or restore a backup"
        )
    with engine.connect() as connection:
        before = MigrationContext.configure(connection).get_current_revision()
    head = ScriptDirectory.from_config(_alembic(engine)).get_current_head() or ""
    if stands is Version.CURRENT:
        return Upgrade(before, head, None)
    backup = _backup(engine, before) if stands is Version.OLD else None
    config = _alembic(engine)
    config.attributes["installation"] = installation
    with _MIGRATING:
        command.upgrade(config, "head")
    return Upgrade(before, head, backup)


def _backup(engine: Engine, revision: str | None) -> Path | None:
    if engine.url.get_backend_name() != "sqlite" or not engine.url.database:
        return None
    path = Path(engine.url.database)
    target = path.with_name(f"{path.name}.before-{revision or 'unversioned'}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy2(path, target)
    return target
