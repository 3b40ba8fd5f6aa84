"""A job's files beside the rest of its specification: lists read the one without the other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job_specs", sa.Column("files", sa.Text(), nullable=True))
    op.execute(
        "UPDATE job_specs SET files = json_extract(spec, '$.files'),"
        " spec = json_remove(spec, '$.files') WHERE json_type(spec, '$.files') IS NOT NULL"
    )
