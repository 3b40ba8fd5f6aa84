"""Tables of jobs: what was submitted, its attempts, what happened to it. No I/O.

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
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from remote_server.store.schema.base import Text, metadata, partial_index

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("priority", BigInteger, nullable=False),
    # What the job needs of an agent; and the same short enough for an index, whatever its labels.
    Column("demand", Text, nullable=False),
    Column("demand_key", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # The current attempt's number, and the highest one that may have run. They differ when a
    # lost attempt came back and was kept.
    Column("attempt", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    # How many of its attempts count for its policy.
    Column("tries", BigInteger, nullable=False),
    # 1: the row of attempt `used + 1` exists, withdrawn, and is used again (its number too).
    Column("reuse_withdrawn", SmallInteger, nullable=False),
    # 1: queued, but waits for `not_before`. 2 (HELD): member of a group, which decides when it
    # is given; it is never among the jobs that are ready.
    Column("deferred", SmallInteger, nullable=False),
    Column("not_before", Double),
    Column("expires_at", Double),
    Column("agent", Text),
    Column("exit_code", BigInteger),
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
    Column("name", Text),
    # Id and name of the token that it was submitted with; null: not known.
    Column("submitted_by", Text),
    # How often agents have refused it.
    Column("refusals", BigInteger),
    # Why, the last time.
    Column("refusal", Text),
    # Its group; the ids of a group and of its members have the same time.
    Column("group_id", Text),
)
HELD: Final = 2
"""`deferred` of a member of a group that waits."""
_WAITING: Final = text("state = 'queued' AND deferred = 0")
_DEFERRED: Final = text("state = 'queued' AND deferred = 1")
_EXPIRING: Final = text("state = 'queued' AND expires_at IS NOT NULL")
partial_index(
    "ix_jobs_waiting",
    jobs.c.demand_key,
    jobs.c.priority.desc(),
    jobs.c.id,
    where=_WAITING,
)
partial_index("ix_jobs_deferred", jobs.c.not_before, where=_DEFERRED)
partial_index("ix_jobs_expiring", jobs.c.expires_at, where=_EXPIRING)
Index("ix_jobs_state", jobs.c.state, jobs.c.id)
Index("ix_jobs_queue", jobs.c.queue, jobs.c.id)
_QUEUED: Final = text("state = 'queued'")
# With the state, always the same: else SQLite takes ix_jobs_queue and reads all ended jobs of it.
partial_index("ix_jobs_oldest", jobs.c.queue, jobs.c.state, jobs.c.id, where=_QUEUED)
_GIVEN: Final = text("agent IS NOT NULL")
partial_index("ix_jobs_agent", jobs.c.agent, jobs.c.id, where=_GIVEN)
_KEYED: Final = text("idempotency_key IS NOT NULL")
partial_index(
    "uq_jobs_idempotency_key",
    jobs.c.idempotency_key,
    jobs.c.submitted_by,
    unique=True,
    where=_KEYED,
)

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
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("agent", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("offered_at", Double, nullable=False),
    Column("accepted_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("exit_code", BigInteger),
    Column("end_reason", Text),
    Column("end_detail", Text, nullable=False),
    Column("usage", Text),
    Column("log_size", BigInteger, nullable=False),
    Column("log_complete", SmallInteger, nullable=False),
    # 1: retention has removed the log.
    Column("log_gone", SmallInteger, nullable=False),
    # CRC-32 of the complete log; null when it is not complete, or was before there was this column.
    Column("log_checksum", BigInteger),
    # The server asked for its end then, because of its timeout.
    Column("overdue_at", Double),
    sqlite_with_rowid=False,
)
outputs: Final = Table(
    "outputs",
    metadata,
    # Only of attempts whose jobs have written some, or something that was not understood.
    Column("job", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("warning", Text, nullable=False),
    Column("body", Text, nullable=False),
)

artifact_sets: Final = Table(
    "artifact_sets",
    metadata,
    # Only of attempts whose jobs have given files back, or something that was left out.
    Column("job", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("attempt", BigInteger, primary_key=True, autoincrement=False),
    Column("expected", BigInteger, nullable=False),
    Column("warning", Text, nullable=False),
)

artifacts: Final = Table(
    "artifacts",
    metadata,
    Column("job", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("attempt", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("checksum", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # When it was announced or ended last.
    Column("at", Double, nullable=False),
    UniqueConstraint("job", "attempt", "name"),
)
_UPLOADING: Final = text("state = 'uploading'")
partial_index("ix_artifacts_uploading", artifacts.c.at, where=_UPLOADING)

# Not by IN: for each row that is written, SQLite would make a table of the three states.
LIVE_STATES: Final = (
    "(attempts.state = 'offered' OR attempts.state = 'accepted' OR attempts.state = 'running')"
)
_LIVE: Final = text(LIVE_STATES.replace("attempts.", ""))
_LOGGED: Final = text("ended_at IS NOT NULL AND log_gone = 0")
partial_index(
    "ix_attempts_live",
    attempts.c.agent,
    attempts.c.job,
    attempts.c.number,
    where=_LIVE,
)
partial_index(
    "ix_attempts_logged",
    attempts.c.queue,
    attempts.c.ended_at,
    attempts.c.log_size,
    where=_LOGGED,
)

timeline: Final = Table(
    "timeline",
    metadata,
    # SQLite numbers rows by themselves only in a column of exactly this type.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("job", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("what", Text, nullable=False),
    Column("state", Text),
    Column("attempt", BigInteger, nullable=False),
    Column("agent", Text),
    Column("source", Text, nullable=False),
    Column("detail", Text, nullable=False),
    # Id and name of the token of whoever did it; null: the server itself.
    Column("actor", Text),
    # A number is never used again: it is the cursor of everybody who follows the events.
    sqlite_autoincrement=True,
)
Index("ix_timeline_job", timeline.c.job, timeline.c.seq)
