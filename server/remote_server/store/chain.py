"""Writes entries of the audit at the end of the chain, inside a transaction. Queries live here.

Where the chain ends and where what is kept of it begins, is written down apart (`meta`): entries
that are removed at either end show, too.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, insert, select, update

from remote_server.domain.audit import Link, chained, link_from
from remote_server.store.ports import Reader, Transaction
from remote_server.store.schema import audit, meta

HEAD: Final = "audit_head"
"""Name in the table `meta` of the newest entry's number and hash."""
ANCHOR: Final = "audit_anchor"
"""Name of those of the newest entry that retention has removed."""
_VALUE: Final = select(meta.c.value).where(meta.c.name == bindparam("wanted"))
# Another process may write, too (`token create`): it waits for the end of this transaction.
_LOCKED: Final = _VALUE.with_for_update()
_MOVE: Final = (
    update(meta).where(meta.c.name == bindparam("wanted")).values(value=bindparam("link"))
)
_PUT: Final = insert(meta).values(name=bindparam("wanted"), value=bindparam("link"))
_INSERT: Final = insert(audit).values({column.name: bindparam(column.name) for column in audit.c})


def extend(tx: Transaction, now: float) -> None:
    """Write the entries that a transaction has noted; `now` in Unix seconds."""
    found = tx.one(_LOCKED, {"wanted": HEAD})
    head = link_from(None if found is None else found.value)
    rows: list[dict[str, object]] = []
    for row, digest in chained(tx.entries, head, now):
        values = row._asdict()
        values["hash"] = digest
        rows.append(values)
        head = Link(row.number, digest)
    tx.many(_INSERT, rows)
    tx.run(_PUT if found is None else _MOVE, {"wanted": HEAD, "link": head.text})


def read_link(reader: Reader, name: str) -> Link:
    """The head or the anchor of the chain."""
    found = reader.one(_VALUE, {"wanted": name})
    return link_from(None if found is None else found.value)


def set_anchor(tx: Transaction, link: Link) -> None:
    """What is kept begins after this entry from now on."""
    values = {"wanted": ANCHOR, "link": link.text}
    if not tx.changed(_MOVE, values):
        tx.run(_PUT, values)
