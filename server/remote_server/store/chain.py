"""Writes entries of the audit at the end of the chain, inside a transaction. Queries live here.

Where the chain ends, the database notes apart from the entries (`Reader.audit_end`), and so does
retention where what is kept of it begins (`meta`): entries that are removed at either end show.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, insert, select, update

from remote_server.domain.audit import Link, chained, link_from
from remote_server.store.ports import Reader, Transaction
from remote_server.store.schema import audit, meta

ANCHOR: Final = "audit_anchor"
"""Name in the table `meta` of the newest entry that retention has removed: number and hash."""
_VALUE: Final = select(meta.c.value).where(meta.c.name == bindparam("wanted"))
_MOVE: Final = (
    update(meta).where(meta.c.name == bindparam("wanted")).values(value=bindparam("link"))
)
_PUT: Final = insert(meta).values(name=bindparam("wanted"), value=bindparam("link"))
_INSERT: Final = insert(audit).values({column.name: bindparam(column.name) for column in audit.c})


def extend(tx: Transaction, now: float) -> None:
    """Write the entries that a transaction has noted; `now` in Unix seconds."""
    rows = chained(tx.entries, tx.lock_audit(), now)
    tx.many(_INSERT, [row._asdict() for row in rows])
    tx.move_audit(Link(rows[-1].number, rows[-1].hash))


def read_anchor(reader: Reader) -> Link:
    """The newest entry that retention has removed."""
    found = reader.one(_VALUE, {"wanted": ANCHOR})
    return link_from(None if found is None else found.value)


def set_anchor(tx: Transaction, link: Link) -> None:
    """What is kept begins after this entry from now on."""
    values = {"wanted": ANCHOR, "link": link.text}
    if not tx.changed(_MOVE, values):
        tx.run(_PUT, values)
