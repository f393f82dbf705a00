"""Samples say how often a gateway in between asked again before it answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sample", sa.Column("retried", sa.Integer()))


def downgrade() -> None:
    op.drop_column("sample", "retried")
