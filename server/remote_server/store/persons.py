"""Persons who sign in by a provider: each has one entry among the tokens, whose text nobody knows.

So a person is, to everything that takes tokens, the bearer of one: with a role, a name for the
audit, sessions that end with it, and an id that stays. Queries live here.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, update

from remote_protocol.ids import Role
from remote_server.domain.audit import Entry
from remote_server.domain.model import Principal, Token
from remote_server.store.ports import Transaction
from remote_server.store.repository import Repository
from remote_server.store.rows import SELECT_TOKEN, token_from
from remote_server.store.schema import tokens
from remote_server.store.tokens import TokenRow, insert_token, revoke_token

_BY_SUBJECT: Final = SELECT_TOKEN.where(tokens.c.hash == bindparam("subject"))
_CHANGE: Final = (
    update(tokens)
    .where(tokens.c.id == bindparam("wanted"))
    .values(name=bindparam("name"), role=bindparam("role"))
)
_LOWER: Final = (
    update(tokens)
    .where(tokens.c.owner == bindparam("owned_by"), tokens.c.role == bindparam("higher"))
    .values(role=bindparam("role"))
)
_SET_ASIDE: Final = (
    update(tokens).where(tokens.c.id == bindparam("wanted")).values(hash=bindparam("hash"))
)


def _found(tx: Transaction, subject: str) -> Token | None:
    row = tx.one(_BY_SUBJECT, {"subject": subject})
    return None if row is None else token_from(row)


class Persons(Repository):
    """The repository of persons."""

    async def admit_person(
        self, subject: str, name: str, role: Role, now: float, address: str
    ) -> Token:
        """The entry of a person who may sign in, with the role that they have now: in all their
        sessions. One that was revoked stays so, with its sessions, and gets a successor."""
        fresh = TokenRow(self._ulids.make(now), "api", name, subject, now, role=role.value)

        def admit(tx: Transaction) -> Token:
            found = _found(tx, subject)
            if found is not None and found.revoked:
                tx.run(_SET_ASIDE, {"wanted": found.id, "hash": f"former {found.id}"})
                found = None
            if found is None:
                insert_token(tx, fresh)
                by = Principal(fresh.id, name, address, "api")
                made = {"kind": "api", "name": name, "role": role.value}
                tx.record(Entry(by, "token.create", "token", fresh.id, made))
            elif (found.name, found.role) != (name, role):
                tx.run(_CHANGE, {"wanted": found.id, "name": name, "role": role.value})
                for higher in (one for one in Role if not role.includes(one)):
                    values = {"owned_by": found.id, "higher": higher.value, "role": role.value}
                    tx.run(_LOWER, values)
                tx.changes.tokens.add(found.id)
                by = Principal(found.id, name, address, "api")
                changed = {"name": [found.name, name], "role": [str(found.role), role.value]}
                tx.record(Entry(by, "token.update", "token", found.id, changed))
            admitted = _found(tx, subject)
            assert admitted is not None
            return admitted

        return await self._database.write(admit)

    async def bar_person(self, subject: str, name: str, address: str) -> None:
        """End the sessions of a person who may not sign in any more; one who never did is no
        error."""

        def bar(tx: Transaction) -> None:
            found = _found(tx, subject)
            if found is None or found.revoked:
                return
            revoke_token(tx, found.id, "none of this person's groups gives a role any more")
            by = Principal(found.id, name, address, "api")
            detail = {"kind": "api", "name": found.name}
            tx.record(Entry(by, "token.revoke", "token", found.id, detail))

        await self._database.write(bar)
