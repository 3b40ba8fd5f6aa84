"""Single values under names, in the table `meta`: what a database knows of itself. Queries live
here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, delete, insert, select

from remote_server.store.ports import Reader, Transaction
from remote_server.store.schema import meta

SELECT_META: Final = select(meta.c.value).where(meta.c.name == bindparam("wanted"))
_DELETE: Final = delete(meta).where(meta.c.name == bindparam("wanted"))
_INSERT: Final = insert(meta).values(name=bindparam("name"), value=bindparam("value"))


def read_meta(reader: Reader, name: str) -> str | None:
    """The value under a name; None when there is none."""
    row = reader.one(SELECT_META, {"wanted": name})
    return None if row is None else str(row.value)


def set_meta(tx: Transaction, name: str, value: str) -> None:
    """Put a value under a name, in place of the one that was there."""
    # Two statements that nobody waits for: how many rows an update has changed, PostgreSQL says
    # only at the end of what is in its pipeline.
    remove_meta(tx, name)
    tx.run(_INSERT, {"name": name, "value": value})


def remove_meta(tx: Transaction, name: str) -> None:
    """Remove the value under a name, if there is one."""
    tx.run(_DELETE, {"wanted": name})
