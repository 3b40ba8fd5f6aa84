"""The tables of contents: which there are, who has sent them, which jobs name them. No I/O."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Table

from remote_server.store.schema.base import Text, metadata

contents: Final = Table(
    "contents",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    # When it was sent, or a job that names it was submitted, last.
    Column("used_at", Double, nullable=False),
)

content_claims: Final = Table(
    "content_claims",
    metadata,
    Column("digest", Text, ForeignKey("contents.digest"), primary_key=True),
    # The id of the token with which all of it was sent.
    Column("owner", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

job_contents: Final = Table(
    "job_contents",
    metadata,
    Column("digest", Text, primary_key=True),
    # No foreign key: what is forgotten with its job is forgotten here some time later.
    Column("job", Text, primary_key=True),
)
Index("ix_content_claims_owner", content_claims.c.owner)
