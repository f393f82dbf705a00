"""Alembic's entry: it gets its engine from prober.history.store.schema, never from a file."""

from __future__ import annotations

from alembic import context

engine = context.config.attributes["engine"]

# Several daemons may find one database empty: the second waits, and then has nothing to do.
LOCK = 0x70726F626572  # "prober"

with engine.begin() as connection:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    context.configure(connection=connection, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
