"""Who submitted a job and who changed it; names to search; what is large beside a specification."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from remote_server.store.specifications import split

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = "job, spec, excerpt, bulk"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("name", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("submitted_by", sa.Text(), nullable=True))
    op.add_column("timeline", sa.Column("actor", sa.Text(), nullable=True))
    op.execute(
        "UPDATE jobs SET name = (SELECT json_extract(spec, '$.name') FROM job_specs"
        " WHERE job_specs.job = jobs.id)"
    )
    op.drop_index("uq_jobs_idempotency_key", "jobs")
    keyed = sa.text("idempotency_key IS NOT NULL")
    op.create_index(
        "uq_jobs_idempotency_key",
        "jobs",
        ["idempotency_key", "submitted_by"],
        unique=True,
        sqlite_where=keyed,
        postgresql_where=keyed,
    )
    _specifications()


def _specifications() -> None:
    """Files went beside the specification before; now everything that is large does."""
    op.rename_table("job_specs", "old_specs")
    op.create_table(
        "job_specs",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("excerpt", sa.Text(), nullable=True),
        sa.Column("bulk", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_job_specs_job"),
        sa.PrimaryKeyConstraint("job", name="pk_job_specs"),
    )
    op.execute(
        f"INSERT INTO job_specs ({_COLUMNS}) SELECT job, spec, NULL, NULL FROM old_specs"
        " WHERE files IS NULL AND length(spec) <= 1024"
    )
    connection = op.get_bind()
    large = "SELECT job, spec, files FROM old_specs WHERE files IS NOT NULL OR length(spec) > 1024"
    insert = sa.text(f"INSERT INTO job_specs ({_COLUMNS}) VALUES (:job, :spec, :excerpt, :bulk)")
    for job, spec, files in connection.execute(sa.text(large)):
        whole = json.loads(spec)
        if files is not None:
            whole["files"] = json.loads(files)
        text, excerpt, bulk = split(whole)
        connection.execute(insert, {"job": job, "spec": text, "excerpt": excerpt, "bulk": bulk})
    op.drop_table("old_specs")
