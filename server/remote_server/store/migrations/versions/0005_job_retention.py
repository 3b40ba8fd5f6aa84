"""How long a queue keeps its ended jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("queues", sa.Column("job_retention", sa.Double(), nullable=True))
