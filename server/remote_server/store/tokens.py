"""Tokens: create, look up, use, revoke. Only hashes are stored. Queries live here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import bindparam, insert, literal_column, select, update

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import SYSTEM, Principal, Token
from remote_server.errors import NotFound, Refused
from remote_server.store.ports import Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, require_queues
from remote_server.store.rows import SELECT_TOKEN, token_from
from remote_server.store.schema import tokens

_LAST: Final = "~"
"""Behind every id."""
_INSERT: Final = insert(tokens).values({column.name: bindparam(column.name) for column in tokens.c})
_BY_HASH: Final = SELECT_TOKEN.where(tokens.c.hash == bindparam("digest"))
_BY_ID: Final = SELECT_TOKEN.where(tokens.c.id == bindparam("wanted"))
_ALL: Final = SELECT_TOKEN.order_by(tokens.c.id)
_OF_KIND: Final = _ALL.where(tokens.c.kind == bindparam("of_kind"))
_VALID: Final = tokens.c.revoked == literal_column("0")
_NEWEST: Final = (
    SELECT_TOKEN.where(tokens.c.kind == bindparam("of_kind"), tokens.c.id < bindparam("before"))
    .order_by(tokens.c.id.desc())
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_NEWEST_VALID: Final = _NEWEST.where(_VALID)
_EXPIRING: Final = (
    SELECT_TOKEN.where(
        _VALID,
        tokens.c.expires_at > bindparam("after"),
        tokens.c.expires_at <= bindparam("until"),
        # Those that were made for a short time end as they should.
        tokens.c.expires_at - tokens.c.created_at > bindparam("longer"),
    )
    .order_by(tokens.c.expires_at)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_OF_AGENT: Final = (
    select(tokens.c.id)
    .where(
        tokens.c.agent == bindparam("of_agent"), tokens.c.kind == literal_column("'agent'"), _VALID
    )
    .order_by(tokens.c.id.desc())
)
_REVOKE: Final = (
    update(tokens).where(tokens.c.id == bindparam("wanted")).values(revoked=literal_column("1"))
)
_USE: Final = (
    update(tokens)
    .where(tokens.c.id == bindparam("wanted"), _VALID, tokens.c.uses_left > literal_column("0"))
    .values(uses_left=tokens.c.uses_left - literal_column("1"))
)
_OWNED: Final = select(tokens.c.id).where(tokens.c.owner == bindparam("of_owner"), _VALID)
_TOUCH: Final = (
    update(tokens)
    .where(tokens.c.id == bindparam("wanted"))
    .values(last_used_at=bindparam("last_used_at"))
)


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token to be stored."""

    id: str
    kind: str
    name: str
    hash: str
    created_at: float
    role: str | None = None
    agent: str | None = None
    queues: str = "[]"
    uses_left: int | None = None
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked: int = 0
    labels: str = "{}"
    allow_replace: int = 0
    owner: str | None = None


def insert_token(tx: Transaction, row: TokenRow) -> None:
    """Store a token."""
    tx.run(_INSERT, asdict(row))
    tx.changes.tokens.add(row.id)


def revoke_token(tx: Transaction, token: str, why: str) -> None:
    """Make a token useless for ever; `why` is a sentence for whoever still uses it."""
    if not tx.changed(_REVOKE, {"wanted": token}):
        raise NotFound("token", token)
    tx.changes.tokens.add(token)
    tx.changes.revoked[token] = why
    for owned in tx.all(_OWNED, {"of_owner": token}):
        revoke_token(tx, owned.id, "the token or person that it was made for holds no more")


def prune_agent_tokens(tx: Transaction, agent: str, keep: int, why: str) -> None:
    """Revoke an agent's tokens but for the newest `keep`."""
    for row in tx.all(_OF_AGENT, {"of_agent": agent})[keep:]:
        revoke_token(tx, row.id, why)


def use_token(tx: Transaction, token: str) -> None:
    """Count one use of a registration token. Refused when none is left or it was revoked."""
    row = tx.one(_BY_ID, {"wanted": token})
    found = None if row is None else token_from(row)
    if found is None or found.revoked:
        raise Refused(ErrorCode.INVALID_TOKEN, "this registration token was revoked")
    if found.uses_left is not None and not tx.changed(_USE, {"wanted": token}):
        raise Refused(
            ErrorCode.USED_TOKEN,
            "this registration token has been used as often as it may be; ask an admin for a "
            "new one (remotectl registration-token create)",
        )


def require_valid(tx: Transaction, token: str, now: float) -> None:
    """Refused when a token was revoked, or has expired. Read in the transaction that relies on it:
    it may have been revoked since it was looked up."""
    row = tx.one(_BY_ID, {"wanted": token})
    found = None if row is None else token_from(row)
    if found is None or found.revoked:
        raise Refused(ErrorCode.INVALID_TOKEN, "the agent's token was revoked")
    if found.expires_at is not None and found.expires_at <= now:
        raise Refused(ErrorCode.EXPIRED_TOKEN, "the agent's token has expired")


def _family(kind: str) -> str:
    """What the audit calls tokens of a kind."""
    return "registration_token" if kind == "registration" else "token"


def _described(row: TokenRow) -> dict[str, object]:
    """What the audit says of a new token."""
    found: dict[str, object] = {"kind": row.kind, "name": row.name}
    queues = json.loads(row.queues)
    given = {"role": row.role, "agent": row.agent, "queues": queues, "uses": row.uses_left}
    found |= {name: value for name, value in given.items() if value}
    if row.allow_replace:
        found["allow_replace"] = True
    if row.expires_at is not None:
        found["expires_in"] = round(row.expires_at - row.created_at)
    return found


class Tokens(Repository):
    """The repository of tokens."""

    async def create_token(
        self,
        kind: str,
        digest: str,
        name: str,
        now: float,
        *,
        role: Role | None = None,
        agent: str | None = None,
        queues: tuple[str, ...] = (),
        labels: Mapping[str, str] | None = None,
        allow_replace: bool = False,
        uses: int | None = None,
        expires_at: float | None = None,
        by: Principal = SYSTEM,
    ) -> Token:
        """Store a new token by its hash; `kind` is `registration`, `agent` or `api`. UnknownQueue.

        `queues`: those that an API token is limited to, none: it is not; or those that a host may
        ask for with it, none: `default`, `*`: all. `labels`: those
        that it gives. `allow_replace`: it may take over a name that another host holds.
        """
        row = TokenRow(
            self._ulids.make(now),
            kind,
            name,
            digest,
            now,
            role=None if role is None else role.value,
            agent=agent,
            queues=json.dumps(queues),
            uses_left=uses,
            expires_at=expires_at,
            labels=json.dumps(dict(labels or {}), ensure_ascii=False),
            allow_replace=int(allow_replace),
        )

        def create(tx: Transaction) -> None:
            require_queues(tx, set(queues) - {ANY})
            insert_token(tx, row)
            tx.audit(f"{_family(kind)}.create", _family(kind), row.id, _described(row))

        await self._database.write(create, by=by)
        return await self.token(row.id)

    async def token(self, token: str) -> Token:
        """One token by its id. NotFound."""
        row = await self._database.read(lambda reader: reader.one(_BY_ID, {"wanted": token}))
        if row is None:
            raise NotFound("token", token)
        return token_from(row)

    async def token_by_hash(self, digest: str) -> Token | None:
        """The token with this hash, revoked and expired ones included."""
        row = await self._database.read(lambda reader: reader.one(_BY_HASH, {"digest": digest}))
        return None if row is None else token_from(row)

    async def tokens(self, kind: str | None = None) -> list[Token]:
        """All tokens, or those of one kind, the oldest first."""
        if kind is None:
            rows = await self._database.read(lambda reader: reader.all(_ALL))
        else:
            rows = await self._database.read(lambda reader: reader.all(_OF_KIND, {"of_kind": kind}))
        return [token_from(row) for row in rows]

    async def newest_tokens(
        self, kind: str, limit: int, before: str | None = None, *, revoked: bool = False
    ) -> list[Token]:
        """At most `limit` tokens of a kind, the newest first, made before the one with the id
        `before`; the revoked ones, too, with `revoked`."""
        where = {"of_kind": kind, "before": before or _LAST, "count": limit}
        which = _NEWEST if revoked else _NEWEST_VALID
        rows = await self._database.read(lambda reader: reader.all(which, where))
        return [token_from(row) for row in rows]

    async def expiring_tokens(
        self, after: float, until: float, *, longer: float, limit: int
    ) -> list[Token]:
        """At most `limit` valid tokens that expire in this time (Unix seconds), the first ones
        first; only those that were made for longer than `longer` seconds."""
        where = {"after": after, "until": until, "longer": longer, "count": limit}
        rows = await self._database.read(lambda reader: reader.all(_EXPIRING, where))
        return [token_from(row) for row in rows]

    async def revoke(self, token: str, by: Principal = SYSTEM) -> Token:
        """Make a token useless for ever. NotFound."""

        def end(tx: Transaction) -> None:
            found = tx.one(_BY_ID, {"wanted": token})
            revoke_token(tx, token, "the token was revoked")
            if found is not None:
                family = _family(found.kind)
                named = {"kind": found.kind, "name": found.name}
                tx.audit(f"{family}.revoke", family, token, named)

        await self._database.write(end, by=by)
        return await self.token(token)

    async def touch(self, token: str, now: float) -> None:
        """Note that a token was used."""
        row = {"wanted": token, "last_used_at": now}
        await self._database.write(lambda tx: tx.run(_TOUCH, row), relaxed=True)
