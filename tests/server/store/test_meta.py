"""Single values under names, on the database of the run."""

from __future__ import annotations

from remote_server.store import Store
from remote_server.store.meta import read_meta, remove_meta, set_meta
from remote_server.store.ports import Transaction


async def test_a_value_is_put_replaced_and_removed(store: Store) -> None:
    def use(tx: Transaction) -> list[str | None]:
        seen = [read_meta(tx, "~a")]
        set_meta(tx, "~a", "1")
        set_meta(tx, "~b", "other")
        seen.append(read_meta(tx, "~a"))
        set_meta(tx, "~a", "2")
        seen.append(read_meta(tx, "~a"))
        remove_meta(tx, "~a")
        remove_meta(tx, "~never put")
        return [*seen, read_meta(tx, "~a")]

    assert await store._database.write(use) == [None, "1", "2", None]
    assert await store._database.read(lambda reader: read_meta(reader, "~b")) == "other"


async def test_an_empty_value_is_a_value(store: Store) -> None:
    await store._database.write(lambda tx: set_meta(tx, "~a", ""))
    assert await store._database.read(lambda reader: read_meta(reader, "~a")) == ""
