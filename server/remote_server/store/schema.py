"""The tables. Times are Unix seconds; JSON is kept as text; flags are 0 or 1. No I/O.

Every type is plain, because the statements run without SQLAlchemy's type layer (statements.py).
Texts are ordered by their bytes everywhere, whatever the collation of the database.
A job's specification has a table of its own: SQLite rewrites a whole row when one of its columns
changes, and a specification may hold megabytes of files.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TextClause,
    event,
    text,
)

HEAD: Final = "0008"
"""The newest migration; a test compares it with the folder migrations/versions."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

_WHERE: Final[dict[Index, TextClause]] = {}


def _partial_index(
    name: str, *columns: ColumnElement[Any], where: TextClause, unique: bool = False
) -> None:
    """An index of the rows for which `where` holds."""
    _WHERE[Index(name, *columns, unique=unique)] = where


@event.listens_for(metadata, "before_create")
def _limit_partial_indexes(_: object, connection: Connection, **__: object) -> None:
    # Not before: an option of a dialect loads all that SQLAlchemy has for the database, and each
    # start of a server would wait for both.
    for index, where in _WHERE.items():
        index.dialect_kwargs[f"{connection.dialect.name}_where"] = where


_Text: Final = Text().with_variant(Text(collation="C"), "postgresql")

jobs: Final = Table(
    "jobs",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("state", _Text, nullable=False),
    Column("queue", _Text, nullable=False),
    Column("priority", BigInteger, nullable=False),
    # What the job needs of an agent; and the same short enough for an index, whatever its labels.
    Column("demand", _Text, nullable=False),
    Column("demand_key", _Text, nullable=False),
    Column("policy", _Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # The current attempt's number, and the highest one that may have run. They differ when a
    # lost attempt came back and was kept.
    Column("attempt", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    # How many of its attempts count for its policy.
    Column("tries", BigInteger, nullable=False),
    # 1: the row of attempt `used + 1` exists, withdrawn, and is used again (its number too).
    Column("reuse_withdrawn", SmallInteger, nullable=False),
    # 1: queued, but waits for `not_before`.
    Column("deferred", SmallInteger, nullable=False),
    Column("not_before", Double),
    Column("expires_at", Double),
    Column("agent", _Text),
    Column("exit_code", BigInteger),
    Column("end_reason", _Text),
    Column("end_detail", _Text),
    Column("cancel_requested_at", Double),
    Column("cancel_detail", _Text, nullable=False),
    Column("assigned_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("usage", _Text),
    Column("log_size", BigInteger, nullable=False),
    Column("idempotency_key", _Text),
    Column("name", _Text),
    # Id and name of the token that it was submitted with; null: not known.
    Column("submitted_by", _Text),
    # How often agents have refused it.
    Column("refusals", BigInteger),
    # Why, the last time.
    Column("refusal", _Text),
)
_WAITING: Final = text("state = 'queued' AND deferred = 0")
_DEFERRED: Final = text("state = 'queued' AND deferred = 1")
_EXPIRING: Final = text("state = 'queued' AND expires_at IS NOT NULL")
_partial_index(
    "ix_jobs_waiting",
    jobs.c.demand_key,
    jobs.c.priority.desc(),
    jobs.c.id,
    where=_WAITING,
)
_partial_index("ix_jobs_deferred", jobs.c.not_before, where=_DEFERRED)
_partial_index("ix_jobs_expiring", jobs.c.expires_at, where=_EXPIRING)
Index("ix_jobs_state", jobs.c.state, jobs.c.id)
Index("ix_jobs_queue", jobs.c.queue, jobs.c.id)
_QUEUED: Final = text("state = 'queued'")
# With the state, always the same: else SQLite takes ix_jobs_queue and reads all ended jobs of it.
_partial_index("ix_jobs_oldest", jobs.c.queue, jobs.c.state, jobs.c.id, where=_QUEUED)
_GIVEN: Final = text("agent IS NOT NULL")
_partial_index("ix_jobs_agent", jobs.c.agent, jobs.c.id, where=_GIVEN)
_KEYED: Final = text("idempotency_key IS NOT NULL")
_partial_index(
    "uq_jobs_idempotency_key",
    jobs.c.idempotency_key,
    jobs.c.submitted_by,
    unique=True,
    where=_KEYED,
)

specs: Final = Table(
    "job_specs",
    metadata,
    Column("job", _Text, ForeignKey("jobs.id"), primary_key=True),
    Column("spec", _Text, nullable=False),
    # What lists show of the fields in `bulk`.
    Column("excerpt", _Text),
    # Its large fields, megabytes perhaps: last, so that SQLite reads them only when asked for.
    Column("bulk", _Text),
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("job", _Text, ForeignKey("jobs.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("agent", _Text, nullable=False),
    Column("queue", _Text, nullable=False),
    Column("state", _Text, nullable=False),
    Column("offered_at", Double, nullable=False),
    Column("accepted_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("exit_code", BigInteger),
    Column("end_reason", _Text),
    Column("end_detail", _Text, nullable=False),
    Column("usage", _Text),
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
LIVE_STATES: Final = "state IN ('offered', 'accepted', 'running')"
_LIVE: Final = text(LIVE_STATES)
_LOGGED: Final = text("ended_at IS NOT NULL AND log_gone = 0")
_partial_index(
    "ix_attempts_live",
    attempts.c.agent,
    attempts.c.job,
    attempts.c.number,
    where=_LIVE,
)
_partial_index(
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
    Column("job", _Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("what", _Text, nullable=False),
    Column("state", _Text),
    Column("attempt", BigInteger, nullable=False),
    Column("agent", _Text),
    Column("source", _Text, nullable=False),
    Column("detail", _Text, nullable=False),
    # Id and name of the token of whoever did it; null: the server itself.
    Column("actor", _Text),
    # A number is never used again: it is the cursor of everybody who follows the events.
    sqlite_autoincrement=True,
)
Index("ix_timeline_job", timeline.c.job, timeline.c.seq)

agents: Final = Table(
    "agents",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("queues", _Text, nullable=False),
    Column("labels", _Text, nullable=False),
    Column("capacity", _Text, nullable=False),
    Column("registered_at", Double, nullable=False),
    Column("paused", SmallInteger, nullable=False),
    Column("pause_comment", _Text, nullable=False),
    Column("draining", SmallInteger, nullable=False),
    Column("drain_deadline_at", Double),
    Column("ephemeral", SmallInteger, nullable=False),
    Column("fingerprint", _Text, nullable=False),
    Column("allowed_queues", _Text, nullable=False),
    Column("announced", _Text, nullable=False),
    Column("version", _Text, nullable=False),
    Column("platform", _Text, nullable=False),
    Column("boot_id", _Text, nullable=False),
    Column("address", _Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("connected_at", Double),
    Column("last_seen_at", Double),
    Column("condition", _Text, nullable=False),
    # Which installation of the agent held the name last; null: it did not say.
    Column("installation", _Text),
    Column("allowed_labels", _Text),
    Column("allowed_capacity", _Text),
    # Given by its registration token: the host can neither set nor change them.
    Column("server_labels", _Text),
    # The process of its last hello, and since when operators want another one.
    Column("process", _Text),
    Column("restart_requested_at", Double),
)

queues: Final = Table(
    "queues",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("description", _Text, nullable=False),
    Column("paused", SmallInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("log_retention", Double),
    Column("log_max_total", BigInteger),
    Column("job_retention", Double),
)

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("kind", _Text, nullable=False),
    Column("name", _Text, nullable=False),
    Column("hash", _Text, nullable=False, unique=True),
    Column("role", _Text),
    Column("agent", _Text),
    Column("queues", _Text, nullable=False),
    Column("uses_left", BigInteger),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked", SmallInteger, nullable=False),
    # Of a token with which hosts register: labels that it gives, and whether it may take over a
    # name that another host holds.
    Column("labels", _Text),
    Column("allow_replace", SmallInteger),
    Column("owner", _Text),  # the token with which it ends
)
Index("ix_tokens_agent", tokens.c.agent)
Index("ix_tokens_owner", tokens.c.owner)

logins: Final = Table(
    "logins",
    metadata,
    Column("secret", _Text, primary_key=True),  # a hash, as the code is
    Column("code", _Text, nullable=False, unique=True),
    Column("name", _Text, nullable=False),
    Column("address", _Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("state", _Text, nullable=False),
    Column("owner", _Text),
    Column("role", _Text),
    Column("lifetime", Double),
)

sessions: Final = Table(
    "sessions",
    metadata,
    # Of the secret in the browser's cookie.
    Column("hash", _Text, primary_key=True),
    Column("token", _Text, ForeignKey("tokens.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)
Index("ix_sessions_token", sessions.c.token)

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("id", _Text, primary_key=True),
    Column("name", _Text, nullable=False, unique=True),
    Column("url", _Text, nullable=False),
    Column("rule", _Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # When it was made or enabled last, and the last number of the timeline before that.
    Column("active_since", Double, nullable=False),
    Column("since_seq", BigInteger, nullable=False),
    # Its secrets are made from the server's key and these numbers; they are stored nowhere.
    Column("key_id", _Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("former_until", Double, nullable=False),
    Column("enabled", SmallInteger, nullable=False),
    Column("disabled_reason", _Text, nullable=False),
    Column("failing_since", Double),
    Column("delivered_at", Double),
    Column("dropped", BigInteger, nullable=False),
)

deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    Column("id", _Text, primary_key=True),
    # No foreign key: those of a deleted webhook go later, in parts.
    Column("webhook", _Text, nullable=False),
    Column("type", _Text, nullable=False),
    Column("subject", _Text, nullable=False),
    Column("state", _Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("give_up_at", Double, nullable=False),
    Column("next_at", Double),
    Column("attempts", BigInteger, nullable=False),
    Column("last_at", Double),
    Column("status", BigInteger),
    Column("seconds", Double),
    Column("error", _Text, nullable=False),
    # Last: lists do not read it.
    Column("body", _Text, nullable=False),
)
_PENDING: Final = text("state = 'pending'")
_partial_index(
    "ix_webhook_deliveries_pending",
    deliveries.c.webhook,
    deliveries.c.next_at,
    where=_PENDING,
)
Index("ix_webhook_deliveries_webhook", deliveries.c.webhook, deliveries.c.id)

webhook_states: Final = Table(
    "webhook_states",
    metadata,
    # `agent` or `queue`, and which: what was told of it last.
    Column("kind", _Text, primary_key=True),
    Column("name", _Text, primary_key=True),
    Column("up", SmallInteger, nullable=False),
)

audit: Final = Table(
    "audit",
    metadata,
    # Without gaps: a missing number is a removed entry. SQLite notes the highest one beside the
    # table (AUTOINCREMENT), so that entries removed at the end show, too (sqlite/transaction.py).
    Column(
        "number",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("at", Double, nullable=False),
    Column("actor_kind", _Text, nullable=False),
    Column("actor", _Text, nullable=False),
    Column("token", _Text, nullable=False),
    Column("address", _Text, nullable=False),
    Column("action", _Text, nullable=False),
    Column("kind", _Text, nullable=False),
    Column("subject", _Text, nullable=False),
    Column("result", _Text, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("detail", _Text, nullable=False),
    # Over its own content and the former entry's hash (domain/audit.py).
    Column("hash", _Text, nullable=False),
    sqlite_autoincrement=True,
)

meta: Final = Table(
    "meta",
    metadata,
    Column("name", _Text, primary_key=True),
    Column("value", _Text, nullable=False),
)
