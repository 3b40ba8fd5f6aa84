"""Which queue is the default one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("queues", sa.Column("is_default", sa.SmallInteger(), nullable=True))
    op.create_index("ix_queues_is_default", "queues", ["is_default"], unique=True)
    op.execute("UPDATE queues SET is_default = 1 WHERE name = 'default'")
