"""Writes entries of the audit at the end of the chain, inside a transaction. Queries live here.

Where the chain ends, the database notes apart from the entries (`Reader.audit_end`), and so does
retention where what is kept of it begins (`meta`): entries that are removed at either end show.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, insert

from remote_server.domain.audit import Link, chained, link_from
from remote_server.store.meta import read_meta, set_meta
from remote_server.store.ports import Reader, Transaction
from remote_server.store.schema import audit

ANCHOR: Final = "audit_anchor"
"""Name in the table `meta` of the newest entry that retention has removed: number and hash."""
_INSERT: Final = insert(audit).values({column.name: bindparam(column.name) for column in audit.c})


def extend(tx: Transaction, now: float) -> None:
    """Write the entries that a transaction has noted; `now` in Unix seconds."""
    rows = chained(tx.entries, tx.lock_audit(), now)
    tx.many(_INSERT, [row._asdict() for row in rows])
    tx.move_audit(Link(rows[-1].number, rows[-1].hash))


def read_anchor(reader: Reader) -> Link:
    """The newest entry that retention has removed."""
    return link_from(read_meta(reader, ANCHOR))


def set_anchor(tx: Transaction, link: Link) -> None:
    """What is kept begins after this entry from now on."""
    set_meta(tx, ANCHOR, link.text)
