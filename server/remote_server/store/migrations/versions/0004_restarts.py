"""Restarts of agents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("agents", sa.Column("process", _TEXT))
    op.add_column("agents", sa.Column("restart_requested_at", sa.Double()))
