"""Secrets: create or replace, look up, change, delete. Queries live here.

Only sealed values come here; who may read one is decided elsewhere (`remote_server.secrets`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from remote_protocol.spec import DEFAULT_QUEUE
from remote_server.domain.audit import changed_fields
from remote_server.domain.model import SYSTEM, Principal
from remote_server.domain.secrets import MOST, Scope, Sealed, SealedSecret, Secret, bound_input
from remote_server.errors import Conflict, NotFound
from remote_server.store.default_queue import find_default
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.private_inputs import reseal_private_inputs
from remote_server.store.repository import Repository, require_queues
from remote_server.store.schema import secrets

_SHOWN: Final = [c for c in secrets.c if c.name not in ("nonce", "ciphertext")]
_ALL: Final = select(*_SHOWN).order_by(secrets.c.name)
_BY_NAME: Final = select(*_SHOWN).where(secrets.c.name == bindparam("wanted"))
_SEALED: Final = select(*secrets.c).where(secrets.c.name == bindparam("wanted"))
_EVERY: Final = select(*secrets.c).order_by(secrets.c.name)
_COUNT: Final = select(func.count().label("count")).select_from(secrets)
_INSERT: Final = insert(secrets).values(
    {column.name: bindparam(column.name) for column in secrets.c}
)
_FIXED: Final = ("name", "created_at", "created_by")
_UPDATE: Final = (
    update(secrets)
    .where(secrets.c.name == bindparam("wanted"))
    .values(
        {column.name: bindparam(column.name) for column in secrets.c if column.name not in _FIXED}
    )
)
_SCOPE: Final = (
    update(secrets)
    .where(secrets.c.name == bindparam("wanted"))
    .values(
        {name: bindparam(name) for name in ("queues", "all_queues", "updated_at", "updated_by")}
    )
)
_RESEAL: Final = (
    update(secrets)
    .where(secrets.c.name == bindparam("wanted"))
    .values({name: bindparam(name) for name in ("key_id", "nonce", "ciphertext")})
)
_DELETE: Final = delete(secrets).where(secrets.c.name == bindparam("wanted"))


class Secrets(Repository):
    """The repository of secrets."""

    async def put_secret(
        self, name: str, sealed: Sealed, scope: Scope | None, now: float, by: Principal = SYSTEM
    ) -> tuple[Secret, bool]:
        """Create a secret or replace its value; whether it is new. `scope` None: as it was, and
        that of a new one is the default queue. UnknownQueue; Conflict when there are too many."""

        def put(tx: Transaction) -> tuple[Secret, bool]:
            row = tx.one(_BY_NAME, {"wanted": name})
            old = None if row is None else _from(row)
            wanted = scope or (
                Scope((find_default(tx) or DEFAULT_QUEUE,)) if old is None else old.scope
            )
            require_queues(tx, set(wanted.queues) if scope or old is None else set())
            created = (now, by.name) if old is None else (old.created_at, old.created_by)
            secret = Secret(name, wanted, sealed.key_id, *created, now, by.name)
            values = _scope(wanted) | sealed._asdict()
            values |= {"updated_at": now, "updated_by": by.name}
            if old is not None:
                tx.run(_UPDATE, values | {"wanted": name})
                changed = changed_fields(_told(old.scope), _told(wanted))
                tx.audit("secret.update", "secret", name, {"value": "changed", **changed})
                return secret, False
            count = tx.one(_COUNT)
            if count is not None and count.count >= MOST:
                raise Conflict(f"there are {MOST} secrets, which is the most; delete one first")
            tx.run(_INSERT, values | {"name": name, "created_at": now, "created_by": by.name})
            tx.audit("secret.create", "secret", name, _told(wanted))
            return secret, True

        return await self._database.write(put, by=by)

    async def change_secret(
        self, name: str, scope: Scope, now: float, by: Principal = SYSTEM
    ) -> Secret:
        """Change who gets a secret. NotFound; UnknownQueue."""

        def change(tx: Transaction) -> Secret:
            old = _get(tx, name)
            require_queues(tx, set(scope.queues))
            values = _scope(scope) | {"updated_at": now, "updated_by": by.name}
            tx.run(_SCOPE, values | {"wanted": name})
            tx.audit(
                "secret.update", "secret", name, changed_fields(_told(old.scope), _told(scope))
            )
            return old._replace(scope=scope, updated_at=now, updated_by=by.name)

        return await self._database.write(change, by=by)

    async def secret(self, name: str) -> Secret:
        """One secret. NotFound."""
        return await self._database.read(lambda reader: _get(reader, name))

    async def secrets(self) -> list[Secret]:
        """All secrets by name."""
        return await self._database.read(lambda reader: list(map(_from, reader.all(_ALL))))

    async def sealed_secrets(self, names: Sequence[str]) -> dict[str, SealedSecret]:
        """Those of these secrets that there are, with their sealed values."""

        def read(reader: Reader) -> dict[str, SealedSecret]:
            rows = (reader.one(_SEALED, {"wanted": name}) for name in dict.fromkeys(names))
            return {
                row.name: SealedSecret(_scope_of(row), _sealed(row))
                for row in rows
                if row is not None
            }

        # A commit of what others wrote, for each job with secrets, would cost more than all of
        # this. What may be undone is somebody's wish, and no queue's that was not named in it.
        return await self._database.read(read, ahead=True)

    async def secret_scopes(self, names: Sequence[str]) -> dict[str, Scope]:
        """Whose those of these secrets are that there are."""

        def read(reader: Reader) -> dict[str, Scope]:
            rows = (reader.one(_BY_NAME, {"wanted": name}) for name in names)
            return {row.name: _scope_of(row) for row in rows if row is not None}

        return await self._database.read(read)

    async def reseal_secrets(
        self, key_id: str, reseal: Callable[[str, Sealed], Sealed], by: Principal = SYSTEM
    ) -> int:
        """Replace what every secret's value is stored as, unless it is sealed with the key `key_id`
        already, and private inputs of jobs (`bound_input`): all or none. How many secrets there
        were. What `reseal` raises changes nothing."""

        def change(tx: Transaction) -> int:
            rows = [row for row in tx.all(_EVERY) if row.key_id != key_id]
            for row in rows:
                values = reseal(row.name, _sealed(row))._asdict()
                tx.run(_RESEAL, values | {"wanted": row.name})
            reseal_private_inputs(tx, key_id, lambda job, sealed: reseal(bound_input(job), sealed))
            detail = {"secrets": len(rows), "key_id": key_id}
            tx.audit("secret.rotate_key", "server", "secrets", detail)
            return len(rows)

        return await self._database.write(change, by=by)

    async def delete_secret(self, name: str, by: Principal = SYSTEM) -> None:
        """Remove a secret: no attempt that starts from now on gets it. NotFound."""

        def remove(tx: Transaction) -> None:
            _get(tx, name)
            tx.run(_DELETE, {"wanted": name})
            tx.audit("secret.delete", "secret", name)

        await self._database.write(remove, by=by)


def _get(reader: Reader, name: str) -> Secret:
    row = reader.one(_BY_NAME, {"wanted": name})
    if row is None:
        raise NotFound("secret", name)
    return _from(row)


def _from(row: Row) -> Secret:
    return Secret(
        row.name,
        _scope_of(row),
        row.key_id,
        row.created_at,
        row.created_by,
        row.updated_at,
        row.updated_by,
    )


def _scope_of(row: Row) -> Scope:
    return Scope(tuple(json.loads(row.queues)), bool(row.all_queues))


def _sealed(row: Row) -> Sealed:
    return Sealed(row.key_id, row.nonce, row.ciphertext)


def _scope(scope: Scope) -> dict[str, object]:
    return {"queues": json.dumps(scope.queues), "all_queues": int(scope.all_queues)}


def _told(scope: Scope) -> dict[str, object]:
    return {"queues": list(scope.queues), "all_queues": scope.all_queues}
