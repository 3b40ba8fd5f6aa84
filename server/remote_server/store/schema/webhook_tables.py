"""Tables of webhooks, their messages, and what was told last. No I/O."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, SmallInteger, Table, text

from remote_server.store.schema.base import Text, metadata, partial_index

webhooks: Final = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # When it was made or enabled last, and the last number of the timeline before that.
    Column("active_since", Double, nullable=False),
    Column("since_seq", BigInteger, nullable=False),
    # Its secrets are made from the server's key and these numbers; they are stored nowhere.
    Column("key_id", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("former_until", Double, nullable=False),
    Column("enabled", SmallInteger, nullable=False),
    Column("disabled_reason", Text, nullable=False),
    Column("failing_since", Double),
    Column("delivered_at", Double),
    Column("dropped", BigInteger, nullable=False),
)

deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    # No foreign key: those of a deleted webhook go later, in parts.
    Column("webhook", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("give_up_at", Double, nullable=False),
    Column("next_at", Double),
    Column("attempts", BigInteger, nullable=False),
    Column("last_at", Double),
    Column("status", BigInteger),
    Column("seconds", Double),
    Column("error", Text, nullable=False),
    # Last: lists do not read it.
    Column("body", Text, nullable=False),
)
_PENDING: Final = text("state = 'pending'")
partial_index(
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
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("up", SmallInteger, nullable=False),
)
