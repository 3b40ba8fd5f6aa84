"""Queues: create, look up, edit, delete. Queries live here."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Final

from sqlalchemy import bindparam, delete, insert, literal_column, select, update

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_server.domain.audit import changed_fields
from remote_server.domain.model import SYSTEM, Principal, Queue
from remote_server.errors import Conflict, NotFound
from remote_server.store.allowances import withdraw_queue
from remote_server.store.default_queue import move_default
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.rows import SELECT_QUEUE, queue_from
from remote_server.store.schema import agents, jobs, queues

_QUEUE: Final = SELECT_QUEUE.where(queues.c.name == bindparam("wanted"))
_QUEUES: Final = SELECT_QUEUE.order_by(queues.c.name)
_INSERT: Final = insert(queues).values(
    {column.name: bindparam(column.name) for column in queues.c if column.name != "is_default"}
)
_UPDATE: Final = (
    update(queues)
    .where(queues.c.name == bindparam("wanted"))
    .values(
        {
            name: bindparam(name)
            for name in ("description", "paused", "log_retention", "log_max_total", "job_retention")
        }
    )
)
_DELETE: Final = delete(queues).where(queues.c.name == bindparam("wanted"))
_UNFINISHED: Final = (
    select(jobs.c.id)
    .where(
        is_state(jobs.c.state, "queued", "assigned", "running"),
        jobs.c.queue == bindparam("wanted"),
    )
    .limit(literal_column("1"))
    .offset(NONE_SKIPPED)
)
_SERVED_BY: Final = select(agents.c.name, agents.c.queues).order_by(agents.c.name)


class Queues(Repository):
    """The repository of queues."""

    async def create_queue(self, wanted: QueueCreate, now: float, by: Principal = SYSTEM) -> Queue:
        """Make a queue. Conflict when it exists."""
        queue = Queue(
            wanted.name,
            wanted.description,
            False,
            now,
            wanted.log_retention,
            wanted.log_max_total,
            wanted.job_retention,
        )

        def create(tx: Transaction) -> None:
            if tx.one(_QUEUE, {"wanted": queue.name}) is not None:
                raise Conflict(
                    f"there is a queue {queue.name!r} already; "
                    f"change it with: remotectl queue edit {queue.name}"
                )
            insert_queue(tx, queue)
            said = wanted.model_dump(exclude_unset=True)
            if wanted.default:
                said["instead_of"] = move_default(tx, queue.name)
            tx.changes.queues.add(queue.name)
            tx.audit("queue.create", "queue", queue.name, said)

        await self._database.write(create, by=by)
        return replace(queue, default=wanted.default)

    async def queue(self, name: str) -> Queue:
        """One queue. NotFound."""
        return await self._database.read(lambda reader: _get(reader, name))

    async def queues(self) -> list[Queue]:
        """All queues by name."""
        rows = await self._database.read(lambda reader: reader.all(_QUEUES))
        return [queue_from(row) for row in rows]

    async def change_queue(self, name: str, change: QueueChange, by: Principal = SYSTEM) -> Queue:
        """Edit a queue; what the change leaves out stays. NotFound; Conflict when there would be
        no default queue."""
        given = change.model_fields_set

        def edit(tx: Transaction) -> Queue:
            old = _get(tx, name)
            if old.default and change.default is False:
                raise Conflict(
                    f"the queue {name!r} is the default one, and there always is one; make another "
                    "one the default: remotectl queue edit NAME --default"
                )
            queue = Queue(
                name,
                old.description if change.description is None else change.description,
                old.paused if change.paused is None else change.paused,
                old.created_at,
                change.log_retention if "log_retention" in given else old.log_retention,
                change.log_max_total if "log_max_total" in given else old.log_max_total,
                change.job_retention if "job_retention" in given else old.job_retention,
                old.default or bool(change.default),
            )
            changed = changed_fields(asdict(old), asdict(queue))
            if queue.default and not old.default:
                changed["instead_of"] = move_default(tx, name)
            tx.run(
                _UPDATE,
                {
                    "wanted": name,
                    "description": queue.description,
                    "paused": int(queue.paused),
                    "log_retention": queue.log_retention,
                    "log_max_total": queue.log_max_total,
                    "job_retention": queue.job_retention,
                },
            )
            tx.changes.queues.add(name)
            if old.paused and not queue.paused:
                tx.changes.queued = True
            tx.audit(_action_of(change), "queue", name, changed)
            return queue

        return await self._database.write(edit, by=by)

    async def delete_queue(self, name: str, by: Principal = SYSTEM) -> None:
        """Remove a queue; jobs that ended in it stay. NotFound; Conflict when it is in use.

        Neither agents nor tokens may serve a later queue of this name.
        """

        def remove(tx: Transaction) -> None:
            if _get(tx, name).default:
                raise Conflict(
                    f"the queue {name!r} is the default one, to which jobs go that name no queue; "
                    "make another one the default first: remotectl queue edit NAME --default"
                )
            if tx.one(_UNFINISHED, {"wanted": name}) is not None:
                raise Conflict(
                    f"the queue {name!r} holds jobs that have not ended; "
                    f"see: remotectl job list --queue {name}"
                )
            serving = [row.name for row in tx.all(_SERVED_BY) if name in json.loads(row.queues)]
            if serving:
                some = ", ".join(serving[:5]) + (", …" if len(serving) > 5 else "")
                raise Conflict(
                    f"the queue {name!r} is served by agents ({some}); "
                    "give them other queues first: remotectl agent set"
                )
            tx.run(_DELETE, {"wanted": name})
            tx.changes.queues.add(name)
            withdraw_queue(tx, name)
            tx.audit("queue.delete", "queue", name)

        await self._database.write(remove, by=by)


def _action_of(change: QueueChange) -> str:
    if change.model_fields_set == {"paused"}:
        return "queue.pause" if change.paused else "queue.resume"
    return "queue.update"


def insert_queue(tx: Transaction, queue: Queue) -> None:
    """Store a queue."""
    tx.run(
        _INSERT,
        {
            "name": queue.name,
            "description": queue.description,
            "paused": int(queue.paused),
            "created_at": queue.created_at,
            "log_retention": queue.log_retention,
            "log_max_total": queue.log_max_total,
            "job_retention": queue.job_retention,
        },
    )


def _get(reader: Reader, name: str) -> Queue:
    row = reader.one(_QUEUE, {"wanted": name})
    if row is None:
        raise NotFound("queue", name)
    return queue_from(row)


def ensure_queue(tx: Transaction, queue: Queue) -> None:
    """Store a queue unless there is one of its name."""
    if tx.one(_QUEUE, {"wanted": queue.name}) is None:
        insert_queue(tx, queue)
