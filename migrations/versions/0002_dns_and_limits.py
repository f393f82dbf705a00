"""Samples say how long the name took, and how much room a rate limit leaves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS: tuple[tuple[str, Any], ...] = (
    ("dns_s", sa.Double()),
    ("limit_requests", sa.BigInteger()),
    ("remaining_requests", sa.BigInteger()),
    ("limit_tokens", sa.BigInteger()),
    ("remaining_tokens", sa.BigInteger()),
    ("retry_after_s", sa.Double()),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("sample", sa.Column(name, kind))


def downgrade() -> None:
    for name, _ in reversed(COLUMNS):
        op.drop_column("sample", name)
