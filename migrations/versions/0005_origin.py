"""Flips say where they came from, apart from the name they are signed with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What was written before is told apart by op and signature, here once.
FILL = """
UPDATE flip SET origin = CASE
  WHEN op = 'auto' THEN 'automatic'
  WHEN op IN ('seed', 'repair') THEN op
  WHEN actor = 'break-glass' THEN 'break-glass'
  WHEN actor LIKE 'drill of %' THEN 'drill'
  ELSE 'operator'
END
"""


def upgrade() -> None:
    op.add_column("flip", sa.Column("origin", sa.String(16)))
    op.execute(FILL)


def downgrade() -> None:
    op.drop_column("flip", "origin")
