"""Tables of secrets and of private inputs, encrypted with a key that is elsewhere. No I/O."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Double, ForeignKey, SmallInteger, Table

from remote_server.store.schema.base import Text, metadata

secrets: Final = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    # Whose jobs get it: JSON, a list of names.
    Column("queues", Text, nullable=False),
    Column("all_queues", SmallInteger, nullable=False),
    # The number of the key that the value is encrypted with (secrets/keys.py).
    Column("key_id", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("ciphertext", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("updated_by", Text, nullable=False),
)

private_inputs: Final = Table(
    "private_inputs",
    metadata,
    # Only of jobs that have one, and only until they have ended.
    Column("job", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("ciphertext", Text, nullable=False),
)
