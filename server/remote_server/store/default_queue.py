"""The default queue, in which jobs wait that name none. Queries live here.

Exactly one queue has the flag. Which one it is every submission may ask, so that is kept in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, literal_column, select, update

from remote_protocol.spec import DEFAULT_QUEUE, JobSpec
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.repository import Repository
from remote_server.store.schema import queues

_DEFAULT: Final = select(queues.c.name).where(queues.c.is_default == literal_column("1"))
_SET: Final = (
    update(queues)
    .where(queues.c.name == bindparam("wanted"))
    .values(is_default=bindparam("is_default"))
)


class DefaultQueue(Repository):
    """Base of the repositories that store what is submitted."""

    _default: str | None = None

    def forget_default(self) -> None:
        """Look again: queues were changed, or a commit failed."""
        self._default = None

    async def default_queue(self) -> str:
        """The queue of whoever names none."""
        while self._default is None:
            # Known in the order of the commits, so that none that moves it is missed.
            await self._database.read(lambda reader: reader.one(_DEFAULT), then=self._know_default)
        return self._default

    def _know_default(self, found: Row | None) -> None:
        # The first start makes one before anything is submitted.
        self._default = DEFAULT_QUEUE if found is None else str(found.name)

    async def placed(self, wanted: Sequence[JobSpec]) -> Sequence[JobSpec]:
        """Specifications of submissions, each with a queue: those that name none have the default
        queue of this moment."""
        default = await self.default_queue()
        if all(spec.queue == default or spec.names_queue for spec in wanted):
            return wanted
        return [
            spec if spec.names_queue else spec.model_copy(update={"queue": default})
            for spec in wanted
        ]


def find_default(reader: Reader) -> str | None:
    """The default queue; None in a database that has none yet."""
    row = reader.one(_DEFAULT)
    return None if row is None else str(row.name)


def move_default(tx: Transaction, name: str) -> str | None:
    """Make a queue the default one; the one that was it before."""
    former = find_default(tx)
    if former is not None:
        tx.run(_SET, {"wanted": former, "is_default": None})
        tx.changes.queues.add(former)
    tx.run(_SET, {"wanted": name, "is_default": 1})
    return former
