"""Live attempts by comparisons: IN made a temporary table for each row that was written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_LIVE = sa.text("(state = 'offered' OR state = 'accepted' OR state = 'running')")


def upgrade() -> None:
    op.drop_index("ix_attempts_live", "attempts")
    op.create_index(
        "ix_attempts_live",
        "attempts",
        ["agent", "job", "number"],
        unique=False,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
