"""Contents that jobs name by their SHA-256."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "contents",
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_contents")),
    )
    op.create_table(
        "content_claims",
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["contents.digest"], name=op.f("fk_content_claims_digest")
        ),
        sa.PrimaryKeyConstraint("digest", "owner", name=op.f("pk_content_claims")),
    )
    op.create_index("ix_content_claims_owner", "content_claims", ["owner"], unique=False)
    op.create_table(
        "job_contents",
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("job", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("digest", "job", name=op.f("pk_job_contents")),
    )
