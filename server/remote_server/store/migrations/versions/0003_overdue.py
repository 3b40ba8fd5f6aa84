"""When the server first enforced an attempt's timeout: the reason of its end outlives a link."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("overdue_at", sa.Double(), nullable=True))
