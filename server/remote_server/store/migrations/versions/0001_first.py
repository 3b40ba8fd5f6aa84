"""The first schema, of both kinds of databases."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("queues", _TEXT, nullable=False),
        sa.Column("labels", _TEXT, nullable=False),
        sa.Column("capacity", _TEXT, nullable=False),
        sa.Column("registered_at", sa.Double(), nullable=False),
        sa.Column("paused", sa.SmallInteger(), nullable=False),
        sa.Column("pause_comment", _TEXT, nullable=False),
        sa.Column("draining", sa.SmallInteger(), nullable=False),
        sa.Column("drain_deadline_at", sa.Double(), nullable=True),
        sa.Column("ephemeral", sa.SmallInteger(), nullable=False),
        sa.Column("fingerprint", _TEXT, nullable=False),
        sa.Column("allowed_queues", _TEXT, nullable=False),
        sa.Column("announced", _TEXT, nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("platform", _TEXT, nullable=False),
        sa.Column("boot_id", _TEXT, nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("connected_at", sa.Double(), nullable=True),
        sa.Column("last_seen_at", sa.Double(), nullable=True),
        sa.Column("condition", _TEXT, nullable=False),
        sa.Column("installation", _TEXT, nullable=True),
        sa.Column("allowed_labels", _TEXT, nullable=True),
        sa.Column("allowed_capacity", _TEXT, nullable=True),
        sa.Column("server_labels", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_agents")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("queue", _TEXT, nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("demand", _TEXT, nullable=False),
        sa.Column("demand_key", _TEXT, nullable=False),
        sa.Column("policy", _TEXT, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("reuse_withdrawn", sa.SmallInteger(), nullable=False),
        sa.Column("deferred", sa.SmallInteger(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("agent", _TEXT, nullable=True),
        sa.Column("exit_code", sa.BigInteger(), nullable=True),
        sa.Column("end_reason", _TEXT, nullable=True),
        sa.Column("end_detail", _TEXT, nullable=True),
        sa.Column("cancel_requested_at", sa.Double(), nullable=True),
        sa.Column("cancel_detail", _TEXT, nullable=False),
        sa.Column("assigned_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("usage", _TEXT, nullable=True),
        sa.Column("log_size", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", _TEXT, nullable=True),
        sa.Column("name", _TEXT, nullable=True),
        sa.Column("submitted_by", _TEXT, nullable=True),
        sa.Column("refusals", sa.BigInteger(), nullable=True),
        sa.Column("refusal", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_jobs_agent", "jobs", ["agent", "id"], unique=False, **_where("agent IS NOT NULL")
    )
    op.create_index(
        "ix_jobs_deferred",
        "jobs",
        ["not_before"],
        unique=False,
        **_where("state = 'queued' AND deferred = 1"),
    )
    op.create_index(
        "ix_jobs_expiring",
        "jobs",
        ["expires_at"],
        unique=False,
        **_where("state = 'queued' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_oldest",
        "jobs",
        ["queue", "state", "id"],
        unique=False,
        **_where("state = 'queued'"),
    )
    op.create_index("ix_jobs_queue", "jobs", ["queue", "id"], unique=False)
    op.create_index("ix_jobs_state", "jobs", ["state", "id"], unique=False)
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["demand_key", sa.literal_column("priority DESC"), "id"],
        unique=False,
        **_where("state = 'queued' AND deferred = 0"),
    )
    op.create_index(
        "uq_jobs_idempotency_key",
        "jobs",
        ["idempotency_key", "submitted_by"],
        unique=True,
        **_where("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "meta",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("value", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.create_table(
        "queues",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("description", _TEXT, nullable=False),
        sa.Column("paused", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("log_retention", sa.Double(), nullable=True),
        sa.Column("log_max_total", sa.BigInteger(), nullable=True),
        sa.Column("job_retention", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_queues")),
    )
    op.create_table(
        "timeline",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job", _TEXT, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("what", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("agent", _TEXT, nullable=True),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("detail", _TEXT, nullable=False),
        sa.Column("actor", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_timeline")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_timeline_job", "timeline", ["job", "seq"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("hash", _TEXT, nullable=False),
        sa.Column("role", _TEXT, nullable=True),
        sa.Column("agent", _TEXT, nullable=True),
        sa.Column("queues", _TEXT, nullable=False),
        sa.Column("uses_left", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.Column("revoked", sa.SmallInteger(), nullable=False),
        sa.Column("labels", _TEXT, nullable=True),
        sa.Column("allow_replace", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index("ix_tokens_agent", "tokens", ["agent"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("job", _TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("agent", _TEXT, nullable=False),
        sa.Column("queue", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("offered_at", sa.Double(), nullable=False),
        sa.Column("accepted_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("exit_code", sa.BigInteger(), nullable=True),
        sa.Column("end_reason", _TEXT, nullable=True),
        sa.Column("end_detail", _TEXT, nullable=False),
        sa.Column("usage", _TEXT, nullable=True),
        sa.Column("log_size", sa.BigInteger(), nullable=False),
        sa.Column("log_complete", sa.SmallInteger(), nullable=False),
        sa.Column("log_gone", sa.SmallInteger(), nullable=False),
        sa.Column("log_checksum", sa.BigInteger(), nullable=True),
        sa.Column("overdue_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_attempts_job")),
        sa.PrimaryKeyConstraint("job", "number", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_attempts_live",
        "attempts",
        ["agent", "job", "number"],
        unique=False,
        **_where("state IN ('offered', 'accepted', 'running')"),
    )
    op.create_index(
        "ix_attempts_logged",
        "attempts",
        ["queue", "ended_at", "log_size"],
        unique=False,
        **_where("ended_at IS NOT NULL AND log_gone = 0"),
    )
    op.create_table(
        "job_specs",
        sa.Column("job", _TEXT, nullable=False),
        sa.Column("spec", _TEXT, nullable=False),
        sa.Column("excerpt", _TEXT, nullable=True),
        sa.Column("bulk", _TEXT, nullable=True),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name=op.f("fk_job_specs_job")),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_job_specs")),
    )
