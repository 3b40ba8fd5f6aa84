"""Tables of what runs jobs: agents and queues. No I/O."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, SmallInteger, Table

from remote_server.store.schema.base import Text, metadata

agents: Final = Table(
    "agents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("queues", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("capacity", Text, nullable=False),
    Column("registered_at", Double, nullable=False),
    Column("paused", SmallInteger, nullable=False),
    Column("pause_comment", Text, nullable=False),
    Column("draining", SmallInteger, nullable=False),
    Column("drain_deadline_at", Double),
    Column("ephemeral", SmallInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("allowed_queues", Text, nullable=False),
    Column("announced", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("connected_at", Double),
    Column("last_seen_at", Double),
    Column("condition", Text, nullable=False),
    # Which installation of the agent held the name last; null: it did not say.
    Column("installation", Text),
    Column("allowed_labels", Text),
    Column("allowed_capacity", Text),
    # Given by its registration token: the host can neither set nor change them.
    Column("server_labels", Text),
    # The process of its last hello, and since when operators want another one.
    Column("process", Text),
    Column("restart_requested_at", Double),
)

queues: Final = Table(
    "queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("description", Text, nullable=False),
    Column("paused", SmallInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("log_retention", Double),
    Column("log_max_total", BigInteger),
    Column("job_retention", Double),
    # 1 for the default queue, null for all others: the index lets no second one have it.
    Column("is_default", SmallInteger),
    Index("ix_queues_is_default", "is_default", unique=True),
)
