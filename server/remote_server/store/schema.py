"""The tables. Times are Unix seconds; JSON is kept as text; flags are 0 or 1. No I/O.

Every type is plain, because the statements run without SQLAlchemy's type layer (database.py).
A job's specification has a table of its own: SQLite rewrites a whole row when one of its columns
changes, and a specification may hold megabytes of files.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

HEAD: Final = "0009"
"""The newest migration; a test compares it with the folder migrations/versions."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("demand", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # The current attempt's number, and the highest one that may have run. They differ when a
    # lost attempt came back and was kept.
    Column("attempt", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    # 1: the row of attempt `used + 1` exists, withdrawn, and is used again (its number too).
    Column("reuse", SmallInteger, nullable=False),
    # 1: queued, but waits for `not_before`.
    Column("held", SmallInteger, nullable=False),
    Column("not_before", Double),
    Column("expires_at", Double),
    Column("agent", Text),
    Column("exit_code", Integer),
    Column("end_reason", Text),
    Column("end_detail", Text),
    Column("cancel_requested_at", Double),
    Column("cancel_detail", Text, nullable=False),
    Column("assigned_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("usage", Text),
    Column("log_size", BigInteger, nullable=False),
    Column("idempotency_key", Text),
    # The highest number that a former life of this database, restored since, may have given;
    # and how many numbers up to `used` stand for no attempt that is known.
    Column("floor", Integer),
    Column("uncounted", Integer),
    # Agents have until then to say what they know of the job from that life.
    Column("hold_until", Double),
    Column("name", Text),
    # Id and name of the token that it was submitted with; null: not known.
    Column("submitted_by", Text),
    # How often agents have refused it.
    Column("refusals", Integer),
    # Why, the last time.
    Column("refusal", Text),
)
_WAITING: Final = text("state = 'queued' AND held = 0")
_HELD: Final = text("state = 'queued' AND held = 1")
_EXPIRING: Final = text("state = 'queued' AND expires_at IS NOT NULL")
Index(
    "ix_jobs_waiting",
    jobs.c.demand,
    jobs.c.priority.desc(),
    jobs.c.id,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)
Index("ix_jobs_held", jobs.c.not_before, sqlite_where=_HELD, postgresql_where=_HELD)
Index("ix_jobs_expiring", jobs.c.expires_at, sqlite_where=_EXPIRING, postgresql_where=_EXPIRING)
Index("ix_jobs_state", jobs.c.state, jobs.c.id)
Index("ix_jobs_queue", jobs.c.queue, jobs.c.id)
_QUEUED: Final = text("state = 'queued'")
Index("ix_jobs_oldest", jobs.c.queue, jobs.c.id, sqlite_where=_QUEUED, postgresql_where=_QUEUED)
_GIVEN: Final = text("agent IS NOT NULL")
Index("ix_jobs_agent", jobs.c.agent, jobs.c.id, sqlite_where=_GIVEN, postgresql_where=_GIVEN)
_KEYED: Final = text("idempotency_key IS NOT NULL")
Index(
    "uq_jobs_idempotency_key",
    jobs.c.idempotency_key,
    jobs.c.submitted_by,
    unique=True,
    sqlite_where=_KEYED,
    postgresql_where=_KEYED,
)

_RESTORED: Final = text("floor IS NOT NULL AND ended_at IS NULL")
Index("ix_jobs_restored", jobs.c.floor, sqlite_where=_RESTORED, postgresql_where=_RESTORED)

specs: Final = Table(
    "job_specs",
    metadata,
    Column("job", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("spec", Text, nullable=False),
    # What lists show of the fields in `bulk`.
    Column("excerpt", Text),
    # Its large fields, megabytes perhaps: last, so that SQLite reads them only when asked for.
    Column("bulk", Text),
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("job", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("agent", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("offered_at", Double, nullable=False),
    Column("accepted_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("exit_code", Integer),
    Column("end_reason", Text),
    Column("end_detail", Text, nullable=False),
    Column("usage", Text),
    Column("log_size", BigInteger, nullable=False),
    Column("log_complete", SmallInteger, nullable=False),
    # 1: retention has removed the log.
    Column("log_gone", SmallInteger, nullable=False),
    # CRC-32 of the complete log; null when it is not complete, or was before there was this column.
    Column("log_checksum", BigInteger),
    # The server wished for its end because of its timeout then.
    Column("overdue_at", Double),
    sqlite_with_rowid=False,
)
LIVE_STATES: Final = "state IN ('offered', 'accepted', 'running')"
_LIVE: Final = text(LIVE_STATES)
_LOGGED: Final = text("ended_at IS NOT NULL AND log_gone = 0")
Index(
    "ix_attempts_live",
    attempts.c.agent,
    attempts.c.job,
    attempts.c.number,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)
Index(
    "ix_attempts_logged",
    attempts.c.queue,
    attempts.c.ended_at,
    attempts.c.log_size,
    sqlite_where=_LOGGED,
    postgresql_where=_LOGGED,
)

timeline: Final = Table(
    "timeline",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("job", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("what", Text, nullable=False),
    Column("state", Text),
    Column("attempt", Integer, nullable=False),
    Column("agent", Text),
    Column("source", Text, nullable=False),
    Column("detail", Text, nullable=False),
    # Id and name of the token of whoever did it; null: nobody's wish.
    Column("actor", Text),
    # A number is never used again: it is the cursor of everybody who follows the events.
    sqlite_autoincrement=True,
)
Index("ix_timeline_job", timeline.c.job, timeline.c.seq)

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
    Column("epoch", Integer, nullable=False),
    Column("connected_at", Double),
    Column("last_seen_at", Double),
    Column("condition", Text, nullable=False),
    # Which installation of the agent held the name last; null: it did not say.
    Column("installation", Text),
    Column("allowed_labels", Text),
    Column("allowed_capacity", Text),
    # Given by its registration token: the host can neither set nor change them.
    Column("server_labels", Text),
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
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("role", Text),
    Column("agent", Text),
    Column("queues", Text, nullable=False),
    Column("uses_left", Integer),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked", SmallInteger, nullable=False),
    # Of a token with which hosts register: labels that it gives, and whether it may take over a
    # name that another host holds.
    Column("labels", Text),
    Column("allow_replace", SmallInteger),
)
Index("ix_tokens_agent", tokens.c.agent)

meta: Final = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
