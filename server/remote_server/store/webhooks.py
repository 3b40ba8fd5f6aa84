"""Webhooks: create, look up, change, delete. Queries live here.

The events of jobs that they tell are read from the timeline, after a number that `meta` has
(outbox.py). It is set here when the first webhook becomes active: without one nothing moves it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, delete, insert, literal_column, select, update

from remote_protocol.api.webhooks import WebhookChange, WebhookCreate, WebhookRule
from remote_server.domain.model import SYSTEM, Principal
from remote_server.domain.webhooks import MOST, Webhook
from remote_server.errors import Conflict, NotFound
from remote_server.store.history import last_event
from remote_server.store.meta import read_meta, set_meta
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.repository import Repository
from remote_server.store.schema import webhooks

CURSOR: Final = "webhook_cursor"
_SELECT: Final[Select[Any]] = select(*webhooks.c)
_ALL: Final = _SELECT.order_by(webhooks.c.name)
_ENABLED: Final = _SELECT.where(webhooks.c.enabled == literal_column("1")).order_by(webhooks.c.id)
_BY_NAME: Final = _SELECT.where(webhooks.c.name == bindparam("wanted"))
_INSERT: Final = insert(webhooks).values(
    {column.name: bindparam(column.name) for column in webhooks.c}
)
_FIXED: Final = ("id", "name", "created_at")
_UPDATE: Final = (
    update(webhooks)
    .where(webhooks.c.id == bindparam("wanted"))
    .values(
        {column.name: bindparam(column.name) for column in webhooks.c if column.name not in _FIXED}
    )
)
_DELETE: Final = delete(webhooks).where(webhooks.c.id == bindparam("wanted"))
_NAMES: Final = ("job_name", "agent_name")
_OF_RULE: Final = ("events", "queues", "job_name", "agent_name", "states", "end_reasons")


class Webhooks(Repository):
    """The repository of webhooks."""

    async def create_webhook(
        self, wanted: WebhookCreate, key_id: str, now: float, by: Principal = SYSTEM
    ) -> Webhook:
        """Make a webhook. Conflict when there is one of its name, or there are too many."""
        rule = WebhookRule.model_validate(wanted.model_dump(exclude={"name", "url"}))
        made = Webhook(self._ulids.make(now), wanted.name, wanted.url, rule, now, now, 0, key_id)

        def create(tx: Transaction) -> Webhook:
            known = tx.all(_ALL)
            if any(row.name == made.name for row in known):
                raise Conflict(
                    f"there is a webhook {made.name!r} already; "
                    f"change it with: remotectl webhook update {made.name}"
                )
            if len(known) >= MOST:
                raise Conflict(f"there are {MOST} webhooks, which is the most; delete one first")
            webhook = _activated(tx, made, now)
            tx.run(_INSERT, _row(webhook))
            tx.changes.webhooks.add(webhook.name)
            tx.audit("webhook.create", "webhook", webhook.name, rule.model_dump(exclude_unset=True))
            return webhook

        return await self._database.write(create, by=by)

    async def webhook(self, name: str) -> Webhook:
        """One webhook. NotFound."""
        return await self._database.read(lambda reader: find_webhook(reader, name))

    async def webhooks(self) -> list[Webhook]:
        """All webhooks by name."""
        return await self._database.read(lambda reader: list(map(_from, reader.all(_ALL))))

    async def enabled_webhooks(self) -> list[Webhook]:
        """Those that are enabled, the oldest first."""
        return await self._database.read(enabled)

    async def change_webhook(
        self, name: str, change: WebhookChange, now: float, by: Principal = SYSTEM
    ) -> Webhook:
        """Edit, enable or disable a webhook; what the change leaves out stays. NotFound."""
        given = change.model_dump(exclude_unset=True)
        fields = {key: given[key] for key in _OF_RULE if key in given}
        rule = {key: value for key, value in fields.items() if value is not None or key in _NAMES}

        def edit(tx: Transaction) -> Webhook:
            old = find_webhook(tx, name)
            merged = WebhookRule.model_validate(old.rule.model_dump() | rule)
            new = replace(old, rule=merged, url=change.url or old.url)
            if change.enabled is False:
                new = replace(new, enabled=False, disabled_reason="")
            elif change.enabled and not old.enabled:
                new = _activated(tx, new, now)
            save_webhook(tx, new)
            # Many receivers tell who may send by a part of the URL: that is nobody else's concern.
            said = {key: value for key, value in given.items() if key != "url"}
            told = {**said, "url": "changed"} if change.url else said
            tx.audit("webhook.update", "webhook", name, told)
            return new

        return await self._database.write(edit, by=by)

    async def rotate_webhook_secret(
        self, name: str, key_id: str, former_until: float, by: Principal = SYSTEM
    ) -> Webhook:
        """Give a webhook a new secret, made from the key `key_id`; the former one signs, too,
        until `former_until` (Unix seconds), if it was made from the same key. NotFound."""

        def rotate(tx: Transaction) -> Webhook:
            old = find_webhook(tx, name)
            until = former_until if old.key_id == key_id else 0.0
            new = replace(old, key_id=key_id, generation=old.generation + 1, former_until=until)
            save_webhook(tx, new)
            tx.audit("webhook.rotate_secret", "webhook", name)
            return new

        return await self._database.write(rotate, by=by)

    async def delete_webhook(self, name: str, by: Principal = SYSTEM) -> None:
        """Remove a webhook; nothing more is sent to it. NotFound."""

        def remove(tx: Transaction) -> None:
            tx.run(_DELETE, {"wanted": find_webhook(tx, name).id})
            tx.changes.webhooks.add(name)
            tx.audit("webhook.delete", "webhook", name)

        await self._database.write(remove, by=by)


def find_webhook(reader: Reader, name: str) -> Webhook:
    """A webhook by its name. NotFound."""
    row = reader.one(_BY_NAME, {"wanted": name})
    if row is None:
        raise NotFound("webhook", name)
    return _from(row)


def enabled(reader: Reader) -> list[Webhook]:
    """The webhooks that are enabled, the oldest first."""
    return [_from(row) for row in reader.all(_ENABLED)]


def save_webhook(tx: Transaction, webhook: Webhook) -> None:
    """Store what is known of a webhook now."""
    row = {key: value for key, value in _row(webhook).items() if key not in _FIXED}
    tx.run(_UPDATE, row | {"wanted": webhook.id})
    tx.changes.webhooks.add(webhook.name)


def read_cursor(reader: Reader) -> int:
    """The number up to which the timeline was read for webhooks."""
    return int(read_meta(reader, CURSOR) or 0)


def write_cursor(tx: Transaction, seq: int) -> None:
    """Note that number."""
    set_meta(tx, CURSOR, str(seq))


def _activated(tx: Transaction, webhook: Webhook, now: float) -> Webhook:
    """The webhook as it tells what happens from now on."""
    last = last_event(tx)
    if not tx.all(_ENABLED):
        write_cursor(tx, last)
    return replace(
        webhook,
        enabled=True,
        disabled_reason="",
        failing_since=None,
        active_since=now,
        since_seq=last,
    )


@lru_cache(maxsize=256)
def _rule(text: str) -> WebhookRule:
    return WebhookRule.model_validate_json(text)


def _from(row: Row) -> Webhook:
    values = dict(zip(row._fields, row, strict=True))
    return Webhook(**values | {"rule": _rule(row.rule), "enabled": bool(row.enabled)})


def _row(webhook: Webhook) -> dict[str, object]:
    row = {column.name: getattr(webhook, column.name) for column in webhooks.c}
    return row | {"rule": webhook.rule.model_dump_json(), "enabled": int(webhook.enabled)}
