"""Logins of programs that a person confirms, and tokens that end with another one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("tokens", sa.Column("owner", _TEXT))
    op.create_index("ix_tokens_owner", "tokens", ["owner"], unique=False)
    op.create_table(
        "logins",
        sa.Column("secret", _TEXT, nullable=False),
        sa.Column("code", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=True),
        sa.Column("role", _TEXT, nullable=True),
        sa.Column("lifetime", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("secret", name=op.f("pk_logins")),
        sa.UniqueConstraint("code", name=op.f("uq_logins_code")),
    )
