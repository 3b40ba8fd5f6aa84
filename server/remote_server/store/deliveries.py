"""Messages of webhooks: sent, tried again, shown, kept for a while. Queries live here.

They are made in `outbox.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any, Final

from sqlalchemy import Select, bindparam, delete, func, insert, literal_column, select, update

from remote_protocol.api.webhooks import TEST, DeliveryState
from remote_protocol.ids import make_ulid
from remote_server.domain.model import SYSTEM, Principal
from remote_server.domain.webhook_messages import of_test
from remote_server.domain.webhooks import TRY_FOR, Answer, Delivery, Result, Webhook
from remote_server.errors import Conflict, NotFound
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.schema import deliveries
from remote_server.store.schema import webhooks as webhook_rows
from remote_server.store.webhooks import find_webhook, save_webhook

_PRUNED: Final = 500
"""Messages that are deleted in one transaction."""
_NOTED_EVERY: Final = 1.0
"""Seconds between two notes that a webhook works."""
_NEWEST: Final = "~"
DISABLED: Final = "the webhook was disabled before the message was delivered"
_INSERT: Final = insert(deliveries).values(
    {column.name: bindparam(column.name) for column in deliveries.c}
)
_OF: Final = deliveries.c.webhook == bindparam("of")
_IS_PENDING: Final = is_state(deliveries.c.state, "pending")
_WAITING: Final = (
    select(deliveries.c.id).where(_OF, _IS_PENDING).limit(bindparam("count")).offset(NONE_SKIPPED)
)
_COUNT: Final = select(func.count().label("number")).select_from(_WAITING.subquery())
_NEXT: Final = (
    select(*deliveries.c)
    .where(_OF, _IS_PENDING)
    .order_by(deliveries.c.next_at)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_HEADS: Final = [column for column in deliveries.c if column.name != "body"]
_ONE: Final[Select[Any]] = select(*deliveries.c).where(deliveries.c.id == bindparam("wanted"))
_PAGE: Final[Select[Any]] = (
    select(*_HEADS, literal_column("''").label("body"))
    .where(_OF, deliveries.c.id < bindparam("before"))
    .order_by(deliveries.c.id.desc())
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_PAGE_IN: Final = _PAGE.where(deliveries.c.state == bindparam("in_state"))
_CHANGES: Final = (
    "state", "next_at", "attempts", "last_at", "status", "seconds", "error", "give_up_at",
)  # fmt: skip
_RESULT: Final = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("wanted"))
    .values({name: bindparam(name) for name in _CHANGES})
)
_GIVE_UP: Final = (
    update(deliveries)
    .where(_OF, _IS_PENDING)
    .values(
        state=literal_column("'failed'"), next_at=literal_column("NULL"), error=bindparam("error")
    )
)
_HOOK: Final = select(webhook_rows.c.name).where(webhook_rows.c.id == bindparam("wanted"))
_OLD: Final = (
    select(deliveries.c.id)
    .where(~_IS_PENDING, deliveries.c.id < bindparam("before"))
    .order_by(deliveries.c.id)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_BEYOND: Final = (
    select(deliveries.c.id)
    .where(_OF)
    .order_by(deliveries.c.id.desc())
    .limit(literal_column("1"))
    .offset(bindparam("kept"))
)
_OLD_OF: Final = _OLD.where(_OF)
_OWNER: Final = select(func.min(deliveries.c.webhook).label("id")).where(
    deliveries.c.webhook > bindparam("after")
)
_ALL_OF: Final = select(deliveries.c.id).where(_OF).limit(bindparam("count")).offset(NONE_SKIPPED)
_ALL_HOOKS: Final = select(webhook_rows.c.id)
_REMOVE: Final = delete(deliveries).where(deliveries.c.id == bindparam("wanted"))


class Deliveries(Repository):
    """The repository of the messages of webhooks."""

    async def waiting_deliveries(self, webhook: str, limit: int) -> list[Delivery]:
        """Messages of a webhook (by its id) that are to be sent, those that are due first."""
        where = {"of": webhook, "count": limit}
        rows = await self._database.read(lambda reader: reader.all(_NEXT, where))
        return [_from(row) for row in rows]

    async def count_waiting(self, webhook: str, most: int) -> int:
        """How many messages of a webhook (by its id) wait; `most` when there are more."""
        return await self._database.read(lambda reader: waiting(reader, webhook, most))

    async def record_attempt(
        self,
        delivery: Delivery,
        answer: Answer,
        result: Result,
        now: float,
        disable_after: float,
    ) -> str:
        """Write down what came of an attempt. Returns why its webhook was disabled by it; empty:
        it was not. It is when it has failed for `disable_after` seconds without a success."""
        # A power cut may undo it: then it is sent again, as it may be after any crash.
        return await self._database.write(
            lambda tx: _record(tx, delivery, answer, result, now, disable_after), relaxed=True
        )

    async def put_test(self, name: str, now: float, by: Principal = SYSTEM) -> Delivery:
        """Make the message of a test, which is tried once. NotFound; Conflict when the webhook is
        disabled."""
        id = self._ulids.make(now)
        body = of_test(id, name, by.name, now)

        def put(tx: Transaction) -> Delivery:
            hook = _able(tx, name)
            made = Delivery(id, hook.id, TEST, name, body, now, give_up_at=now, next_at=now)
            insert_deliveries(tx, [made])
            tx.changes.webhooks.add(name)
            tx.audit("webhook.test", "webhook", name, {"message": id})
            return made

        return await self._database.write(put, by=by)

    async def replay(self, name: str, id: str, now: float, by: Principal = SYSTEM) -> Delivery:
        """Send a message again, with the same id. NotFound; Conflict when it waits already, or the
        webhook is disabled."""

        def again(tx: Transaction) -> Delivery:
            hook = _able(tx, name)
            old = _get(tx, hook, id)
            if old.state is DeliveryState.PENDING:
                raise Conflict(f"the message {id} waits to be sent already")
            new = replace(
                old,
                state=DeliveryState.PENDING,
                next_at=now,
                attempts=0,
                give_up_at=now if old.type == TEST else now + TRY_FOR,
            )
            _save(tx, new)
            tx.changes.webhooks.add(name)
            tx.audit("webhook.replay", "webhook", name, {"message": id})
            return new

        return await self._database.write(again, by=by)

    async def delivery(self, name: str, id: str) -> Delivery:
        """One message of a webhook. NotFound."""
        return await self._database.read(
            lambda reader: _get(reader, find_webhook(reader, name), id)
        )

    async def deliveries(
        self, name: str, limit: int, before: str | None = None, state: DeliveryState | None = None
    ) -> list[Delivery]:
        """At most `limit` messages of a webhook without their bodies, the newest first, made
        before the one with the id `before`. NotFound."""

        def find(reader: Reader) -> list[Row]:
            where: dict[str, object] = {
                "of": find_webhook(reader, name).id,
                "before": before or _NEWEST,
                "count": limit,
            }
            if state is None:
                return reader.all(_PAGE, where)
            return reader.all(_PAGE_IN, where | {"in_state": state.value})

        return [_from(row) for row in await self._database.read(find)]

    async def prune_deliveries(self, before: float, kept: int) -> int:
        """Delete messages that wait no more: those made before a time (Unix seconds), those of
        webhooks with more than `kept`, and all of webhooks that are gone. How many; not too many at
        a time."""
        old = {"before": make_ulid(max(0, int(before * 1000)), bytes(10)), "count": _PRUNED}

        def prune(tx: Transaction) -> int:
            found, hooks = tx.all(_OLD, old), tx.all(_ALL_HOOKS)
            for id in _owners(tx) - {row.id for row in hooks}:
                found += tx.all(_ALL_OF, {"of": id, "count": _PRUNED})
            for row in hooks:
                first = tx.one(_BEYOND, {"of": row.id, "kept": kept - 1})
                if first is not None:
                    found += tx.all(_OLD_OF, {"of": row.id, "before": first.id, "count": _PRUNED})
            ids = [{"wanted": id} for id in dict.fromkeys(row.id for row in found)][:_PRUNED]
            if ids:
                tx.many(_REMOVE, ids)
            return len(ids)

        return await self._database.write(prune, relaxed=True)


def _owners(reader: Reader) -> set[str]:
    """The webhooks that have messages, deleted ones among them: a step of the index for each."""
    found: set[str] = set()
    after = ""
    while (row := reader.one(_OWNER, {"after": after})) is not None and row.id is not None:
        after = row.id
        found.add(after)
    return found


def insert_deliveries(tx: Transaction, made: Iterable[Delivery]) -> None:
    """Store new messages."""
    tx.many(_INSERT, [_row(delivery) for delivery in made])


def _record(
    tx: Transaction,
    delivery: Delivery,
    answer: Answer,
    result: Result,
    now: float,
    disable_after: float,
) -> str:
    row = tx.one(_ONE, {"wanted": delivery.id})
    if row is None or row.state != DeliveryState.PENDING:
        # Its webhook was disabled or deleted meanwhile.
        return ""
    _save(
        tx,
        replace(
            delivery,
            state=result.state,
            next_at=result.next_at,
            attempts=delivery.attempts + 1,
            last_at=now,
            status=answer.status,
            seconds=answer.seconds,
            error=answer.error,
        ),
    )
    count(tx, "put_off" if result.next_at is not None else result.state.value, 1)
    named = tx.one(_HOOK, {"wanted": delivery.webhook})
    if named is None:
        return ""
    hook = find_webhook(tx, named.name)
    if result.state is DeliveryState.DELIVERED:
        if hook.failing_since is not None or now - (hook.delivered_at or 0.0) >= _NOTED_EVERY:
            save_webhook(tx, replace(hook, failing_since=None, delivered_at=now))
        return ""
    since = now if hook.failing_since is None else hook.failing_since
    why = result.disable
    if not why and now - since >= disable_after:
        why = f"every attempt failed for {_days(now - since)}; the last one: {answer.error}"
    if why and hook.enabled:
        hook = replace(hook, enabled=False, disabled_reason=why)
        tx.run(_GIVE_UP, {"of": hook.id, "error": DISABLED})
    save_webhook(tx, replace(hook, failing_since=since))
    return why if not hook.enabled else ""


def _days(seconds: float) -> str:
    days = seconds / 86400
    return f"{days:.0f} days" if days >= 2 else f"{seconds / 3600:.0f} hours"


def count(tx: Transaction, what: str, number: int) -> None:
    """Count messages that were delivered, put off, failed or dropped."""
    counts = tx.changes.webhook_counts
    counts[what] = counts.get(what, 0) + number


def waiting(reader: Reader, webhook: str, most: int) -> int:
    """How many messages of a webhook wait; `most` when there are more."""
    row = reader.one(_COUNT, {"of": webhook, "count": most})
    return 0 if row is None else int(row.number)


def _able(reader: Reader, name: str) -> Webhook:
    hook = find_webhook(reader, name)
    if not hook.enabled:
        raise Conflict(
            f"the webhook {name!r} is disabled; "
            f"enable it first: remotectl webhook update {name} --enable"
        )
    return hook


def _get(reader: Reader, hook: Webhook, id: str) -> Delivery:
    row = reader.one(_ONE, {"wanted": id})
    if row is None or row.webhook != hook.id:
        raise NotFound("delivery", id)
    return _from(row)


def _save(tx: Transaction, delivery: Delivery) -> None:
    row = _row(delivery)
    tx.run(_RESULT, {name: row[name] for name in _CHANGES} | {"wanted": delivery.id})


def _row(delivery: Delivery) -> dict[str, object]:
    return asdict(delivery) | {"state": delivery.state.value}


def _from(row: Row) -> Delivery:
    values = dict(zip(row._fields, row, strict=True))
    return Delivery(**values | {"state": DeliveryState(row.state)})
