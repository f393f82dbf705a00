"""Every row belongs to an installation, so that several can share one database."""

from __future__ import annotations

import time
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("sample", "flip", "incident", "incident_event", "pin", "refusal", "outbox")


def upgrade() -> None:
    known = op.create_table(
        "installation",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("sure_since", sa.Double(), nullable=False),
    )
    heir = ""
    if any(_has_rows(table) for table in TABLES):
        config = op.get_context().config
        given = config.attributes.get("installation", "") if config else ""
        heir, now = given or uuid4().hex, time.time()
        # Until now daemons of other installations may have written here too.
        op.bulk_insert(known, [{"id": heir, "created_at": now, "sure_since": now}])
    for table in TABLES:
        # A default labels the rows that are there without touching each of them.
        column = sa.Column("installation_id", sa.String(32), nullable=False, server_default=heir)
        op.add_column(table, column)
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.alter_column(table, "installation_id", server_default="")
    # The same happening has the same alert id in every installation.
    _outbox_key("outbox_by_installation", "installation_id", "id")


def downgrade() -> None:
    # Ids may be there twice now; one installation alone can go back.
    _outbox_key("outbox_pkey", "id")
    for table in TABLES:
        op.drop_column(table, "installation_id")
    op.drop_table("installation")


def _has_rows(table: str) -> bool:
    query = sa.select(sa.literal(1)).select_from(sa.table(table)).limit(1)
    return op.get_bind().execute(query).first() is not None


def _outbox_key(name: str, *keys: str) -> None:
    """Makes the table anew: SQLite cannot change a primary key."""
    columns = [
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("vantage", sa.String(64), nullable=False),
        sa.Column("sent_at", sa.Double()),
        sa.Column("installation_id", sa.String(32), nullable=False),
    ]
    key = sa.PrimaryKeyConstraint(*keys, name=name)
    names = ", ".join(column.name for column in columns)
    op.create_table("outbox_new", *columns, key)
    op.execute(f"INSERT INTO outbox_new ({names}) SELECT {names} FROM outbox")  # noqa: S608
    op.drop_index("outbox_unsent", "outbox")
    op.drop_table("outbox")
    op.rename_table("outbox_new", "outbox")
    op.create_index("outbox_unsent", "outbox", ["sent_at"])
