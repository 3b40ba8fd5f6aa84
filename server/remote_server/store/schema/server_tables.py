"""Tables of the server itself: the audit, and single values under names. No I/O."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Integer, Table

from remote_server.store.schema.base import Text, metadata

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
    Column("actor_kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("repeated", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    # Over its own content and the former entry's hash (domain/audit.py).
    Column("hash", Text, nullable=False),
    sqlite_autoincrement=True,
)

meta: Final = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
