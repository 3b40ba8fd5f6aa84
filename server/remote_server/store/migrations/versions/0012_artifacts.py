"""Artifacts of attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_UPLOADING = sa.text("state = 'uploading'")


def upgrade() -> None:
    op.create_table(
        "artifact_sets",
        sa.Column("job", _TEXT, nullable=False),
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("warning", _TEXT, nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_artifact_sets_job_jobs")),
        sa.PrimaryKeyConstraint("job", "attempt", name=op.f("pk_artifact_sets")),
    )
    op.create_table(
        "artifacts",
        sa.Column("job", _TEXT, nullable=False),
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checksum", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_artifacts_job_jobs")),
        sa.PrimaryKeyConstraint("job", "attempt", "number", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("job", "attempt", "name", name=op.f("uq_artifacts_job")),
    )
    op.create_index(
        "ix_artifacts_uploading",
        "artifacts",
        ["at"],
        unique=False,
        sqlite_where=_UPLOADING,
        postgresql_where=_UPLOADING,
    )
