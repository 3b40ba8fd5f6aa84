"""What a host may ask for, what a registration token gives, how often a job was refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("allowed_labels", "allowed_capacity", "server_labels"):
        op.add_column("agents", sa.Column(name, sa.Text(), nullable=True))
    # What agents have is what they are allowed from now on.
    op.execute(
        "UPDATE agents SET allowed_queues = queues, allowed_labels = labels,"
        " allowed_capacity = capacity, server_labels = '{}'"
    )
    op.add_column("tokens", sa.Column("labels", sa.Text(), nullable=True))
    op.add_column("tokens", sa.Column("allow_replace", sa.SmallInteger(), nullable=True))
    # A registration token without queues covered all of them.
    op.execute("UPDATE tokens SET queues = '[\"*\"]' WHERE kind = 'registration' AND queues = '[]'")
    op.add_column("jobs", sa.Column("refusals", sa.Integer(), nullable=True))
