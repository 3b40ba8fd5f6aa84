"""The checksum of each complete log, so that `check` can tell bytes from other bytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Unknown for logs that were complete before: their size is compared, as it was.
    op.add_column("attempts", sa.Column("log_checksum", sa.BigInteger(), nullable=True))
