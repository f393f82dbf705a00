"""The first tables: sample, flip, incident, pin, refusal, outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flip",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("op", sa.String(16), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("parent", sa.String(64), nullable=False),
        sa.Column("from_provider", sa.String(64), nullable=False),
        sa.Column("to_provider", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
    )
    op.create_index("flip_by_route", "flip", ["route", "epoch"])
    op.create_table(
        "incident",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("breached_at", sa.Double(), nullable=False),
        sa.Column("closed_at", sa.Double()),
        sa.Column("objectives", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
    )
    op.create_index("incident_by_time", "incident", ["opened_at"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("vantage", sa.String(64), nullable=False),
        sa.Column("sent_at", sa.Double()),
    )
    op.create_index("outbox_unsent", "outbox", ["sent_at"])
    op.create_table(
        "pin",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_at", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
    )
    op.create_table(
        "refusal",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("wanted", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_table(
        "sample",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("vantage", sa.String(64), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("http_status", sa.Integer()),
        sa.Column("connect_s", sa.Double()),
        sa.Column("tls_s", sa.Double()),
        sa.Column("first_byte_s", sa.Double()),
        sa.Column("first_event_s", sa.Double()),
        sa.Column("first_reasoning_s", sa.Double()),
        sa.Column("first_text_s", sa.Double()),
        sa.Column("total_s", sa.Double(), nullable=False),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("reasoning_tokens", sa.Integer()),
        sa.Column("cached_tokens", sa.Integer()),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("base_rate", sa.Boolean(), nullable=False),
        sa.Column("new_connection", sa.Boolean(), nullable=False),
    )
    op.create_index("sample_by_provider", "sample", ["provider", "started_at"])
    op.create_index("sample_by_time", "sample", ["started_at"])


def downgrade() -> None:
    for table in ("sample", "refusal", "pin", "outbox", "incident", "flip"):
        op.drop_table(table)
