"""Tables of who may come in: tokens, logins of programs, sessions of browsers. No I/O."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, SmallInteger, Table

from remote_server.store.schema.base import Text, metadata

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
    Column("uses_left", BigInteger),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked", SmallInteger, nullable=False),
    # Of a token with which hosts register: labels that it gives, and whether it may take over a
    # name that another host holds.
    Column("labels", Text),
    Column("allow_replace", SmallInteger),
    Column("owner", Text),  # the token with which it ends
)
Index("ix_tokens_agent", tokens.c.agent)
Index("ix_tokens_owner", tokens.c.owner)

logins: Final = Table(
    "logins",
    metadata,
    Column("secret", Text, primary_key=True),  # a hash, as the code is
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text),
    Column("role", Text),
    Column("lifetime", Double),
)

sessions: Final = Table(
    "sessions",
    metadata,
    # Of the secret in the browser's cookie.
    Column("hash", Text, primary_key=True),
    Column("token", Text, ForeignKey("tokens.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)
Index("ix_sessions_token", sessions.c.token)
