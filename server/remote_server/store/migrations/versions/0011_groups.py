"""Groups: one job on every matching agent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_STATES = ("queued", "assigned", "running", "succeeded", "failed", "cancelled")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("group_id", _TEXT))
    op.create_table(
        "job_groups",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("queue", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("submitted_by", _TEXT, nullable=True),
        sa.Column("idempotency_key", _TEXT, nullable=True),
        sa.Column("request", _TEXT, nullable=False),
        sa.Column("labels", _TEXT, nullable=False),
        sa.Column("online_only", sa.SmallInteger(), nullable=False),
        sa.Column("max_parallel", sa.BigInteger(), nullable=True),
        sa.Column("halt_on_failures", sa.BigInteger(), nullable=True),
        *(sa.Column(state, sa.BigInteger(), nullable=False) for state in _STATES),
        sa.Column("halted_at", sa.Double(), nullable=True),
        sa.Column("cancel_requested_at", sa.Double(), nullable=True),
        sa.Column("cancel_detail", _TEXT, nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_groups")),
    )
    op.create_index("ix_job_groups_queue", "job_groups", ["queue", "id"], unique=False)
    _partial_index("ix_job_groups_open", ["id"], "ended_at IS NULL")
    _partial_index(
        "uq_job_groups_idempotency_key",
        ["idempotency_key", "submitted_by"],
        "idempotency_key IS NOT NULL",
        unique=True,
    )


def _partial_index(name: str, columns: list[str], where: str, unique: bool = False) -> None:
    op.create_index(
        name,
        "job_groups",
        columns,
        unique=unique,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )
