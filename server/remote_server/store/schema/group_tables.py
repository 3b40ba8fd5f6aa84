"""The table of groups; their members are jobs. No I/O."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, SmallInteger, Table, text

from remote_server.store.schema.base import Text, metadata, partial_index

groups: Final = Table(
    "job_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("name", Text),
    Column("created_at", Double, nullable=False),
    # Id and name of the token that it was submitted with; null: not known.
    Column("submitted_by", Text),
    Column("idempotency_key", Text),
    # A hash of everything that was asked for: the same key asks for the same again.
    Column("request", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("online_only", SmallInteger, nullable=False),
    Column("max_parallel", BigInteger),
    Column("halt_on_failures", BigInteger),
    # How many members are in each state: written with every change of one of them.
    Column("queued", BigInteger, nullable=False),
    Column("assigned", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("halted_at", Double),
    Column("cancel_requested_at", Double),
    Column("cancel_detail", Text, nullable=False),
    Column("ended_at", Double),
)
Index("ix_job_groups_queue", groups.c.queue, groups.c.id)
partial_index("ix_job_groups_open", groups.c.id, where=text("ended_at IS NULL"))
partial_index(
    "uq_job_groups_idempotency_key",
    groups.c.idempotency_key,
    groups.c.submitted_by,
    unique=True,
    where=text("idempotency_key IS NOT NULL"),
)
