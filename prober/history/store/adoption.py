"""Gives one installation's history to another, or ends it. Blocks; raises SQLAlchemyError."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, func, select, update

from prober.history.store import tables

HISTORY = (
    tables.sample, tables.flip, tables.incident, tables.incident_event, tables.pin,
    tables.refusal, tables.outbox,
)  # fmt: skip


def counted(engine: Engine, id: str) -> int:
    """How many rows belong to an installation."""
    with engine.connect() as connection:
        return sum(
            connection.scalar(
                select(func.count()).select_from(table).where(table.c.installation_id == id)
            )
            or 0
            for table in HISTORY
        )


def hand_over(engine: Engine, old: str, new: str, now: float) -> None:
    """All rows of `old` become those of `new`; for restoring, only what is written from now on."""
    outbox, known = tables.outbox, tables.installation
    with engine.begin() as connection:
        _take_your_time(connection)
        theirs = select(outbox.c.id).where(outbox.c.installation_id == new)
        twice = outbox.c.id.in_(theirs.scalar_subquery())
        connection.execute(delete(outbox).where(outbox.c.installation_id == old, twice))
        for table in HISTORY:
            same = table.c.installation_id == old
            connection.execute(update(table).where(same).values(installation_id=new))
        connection.execute(delete(known).where(known.c.id.in_([old, new])))
        values = {"id": new, "created_at": now, "sure_since": now}
        connection.execute(known.insert().values(values))


def remove(engine: Engine, id: str) -> None:
    """Deletes all rows of an installation."""
    with engine.begin() as connection:
        _take_your_time(connection)
        for table in HISTORY:
            connection.execute(delete(table).where(table.c.installation_id == id))
        connection.execute(delete(tables.installation).where(tables.installation.c.id == id))


def _take_your_time(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
