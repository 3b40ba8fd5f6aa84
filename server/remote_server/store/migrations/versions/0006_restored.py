"""What a restored database must know: which numbers may have been used, and who an agent is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("floor", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("uncounted", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("hold_until", sa.Double(), nullable=True))
    restored = sa.text("floor IS NOT NULL AND ended_at IS NULL")
    op.create_index(
        "ix_jobs_restored", "jobs", ["floor"], sqlite_where=restored, postgresql_where=restored
    )
    op.add_column("agents", sa.Column("installation", sa.Text(), nullable=True))
