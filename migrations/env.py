"""Alembic's entry: it gets its engine from prober.store.schema, never from a file."""

from __future__ import annotations

from alembic import context

engine = context.config.attributes["engine"]

# Vantages that share a database may all find it empty: one upgrades, the others wait and see.
LOCK = 776237

with engine.begin() as connection:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    context.configure(connection=connection, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
