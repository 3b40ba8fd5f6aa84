"""Logins of programs that wait for a person: begin, look up, decide, take. Only hashes are stored.
Queries live here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_server.domain.audit import Entry
from remote_server.domain.model import Principal, Token
from remote_server.errors import NotFound, Refused
from remote_server.networks import network
from remote_server.store.ports import Row, Transaction
from remote_server.store.repository import Repository
from remote_server.store.rows import SELECT_TOKEN, token_from
from remote_server.store.schema import logins, tokens
from remote_server.store.tokens import TokenRow, insert_token

MOST: Final = 1000
"""Logins that may wait at the same time."""
SHARE: Final = 50
"""The same, from one network: a few cannot keep all others out."""
SHARE_OF_LOOPBACK: Final = MOST // 2
"""The same, from this host: many may come by its reverse proxy."""
PENDING: Final = "pending"
CONFIRMED: Final = "confirmed"
REFUSED: Final = "refused"

_INSERT: Final = insert(logins).values({c.name: bindparam(c.name) for c in logins.c})
_PRUNE: Final = delete(logins).where(logins.c.expires_at <= bindparam("now"))
_COUNTS: Final = select(logins.c.address, func.count().label("number")).group_by(logins.c.address)
_BY_CODE: Final = select(*logins.c).where(logins.c.code == bindparam("wanted"))
_BY_SECRET: Final = select(*logins.c).where(logins.c.secret == bindparam("wanted"))
_DECIDE: Final = (
    update(logins)
    .where(
        logins.c.code == bindparam("wanted"),
        logins.c.state == bindparam("pending"),
        logins.c.expires_at > bindparam("now"),
    )
    .values(
        state=bindparam("new_state"),
        owner=bindparam("new_owner"),
        role=bindparam("new_role"),
        lifetime=bindparam("new_lifetime"),
    )
)
_TAKE: Final = delete(logins).where(logins.c.secret == bindparam("wanted"))
_TOKEN: Final = SELECT_TOKEN.where(tokens.c.id == bindparam("wanted"))


@dataclass(frozen=True, slots=True)
class Login:
    """A login (a row)."""

    secret: str
    """Hash of what the program asks with."""
    code: str
    """Hash of what the person compares."""
    name: str
    address: str
    """Where the program asked from."""
    created_at: float
    expires_at: float
    state: str = PENDING
    owner: str | None = None
    """The id of the token of who confirmed it."""
    role: str | None = None
    """What the program asks for; once it is confirmed, what it was given."""
    lifetime: float | None = None
    """Seconds that the token is to last."""


class Logins(Repository):
    """The repository of logins."""

    async def begin_login(self, login: Login) -> None:
        """Store a login; those that have expired go. Refused when too many wait."""

        def begin(tx: Transaction) -> None:
            tx.run(_PRUNE, {"now": login.created_at})
            waiting: Counter[str] = Counter()
            for row in tx.all(_COUNTS):
                waiting[network(row.address)] += row.number
            _admit(waiting, network(login.address))
            tx.run(_INSERT, asdict(login))

        await self._database.write(begin)

    async def forget_logins(self, now: float) -> int:
        """Remove the logins that have expired; how many there were."""
        return await self._database.write(lambda tx: tx.changed(_PRUNE, {"now": now}))

    async def login_by_code(self, code: str, now: float) -> Login | None:
        """The login with this hash of its code that waits to be confirmed."""
        row = await self._database.read(lambda reader: reader.one(_BY_CODE, {"wanted": code}))
        found = None if row is None else Login(**{c.name: getattr(row, c.name) for c in logins.c})
        return found if found and found.state == PENDING and found.expires_at > now else None

    async def decide_login(
        self, code: str, now: float, by: Principal, role: Role | None, lifetime: float
    ) -> None:
        """Confirm a login, or refuse it (`role` None): once. NotFound."""
        confirmed = role is not None
        values = {
            "wanted": code,
            "now": now,
            "pending": PENDING,
            "new_state": CONFIRMED if confirmed else REFUSED,
            "new_owner": by.id,
            "new_role": role.value if role else None,
            "new_lifetime": lifetime,
        }

        def decide(tx: Transaction) -> None:
            row = tx.one(_BY_CODE, {"wanted": code})
            if row is None or not tx.changed(_DECIDE, values):
                raise NotFound("login that waits", "with this code")
            detail = {"from": row.address, "role": values["new_role"]} if confirmed else {}
            action = "login.confirm" if confirmed else "login.refuse"
            tx.audit(action, "login", row.name, detail)

        await self._database.write(decide, by=by)

    async def take_login(self, secret: str, digest: str, now: float) -> tuple[str, Token | None]:
        """What became of a login; one that was confirmed gives its token, with this hash, once.
        NotFound when there is none, or it has expired."""
        id = self._ulids.make(now)

        def take(tx: Transaction) -> tuple[str, Token | None]:
            row = tx.one(_BY_SECRET, {"wanted": secret})
            if row is None or row.expires_at <= now:
                raise NotFound("login", "that waits")
            if row.state == PENDING:
                return PENDING, None
            tx.run(_TAKE, {"wanted": secret})
            owner = tx.one(_TOKEN, {"wanted": row.owner})
            found = None if owner is None else token_from(owner)
            if row.state == REFUSED or found is None or not _holds(found, now):
                return REFUSED, None
            made = _row(id, digest, now, row, found)
            insert_token(tx, made)
            detail = {"kind": "api", "name": made.name, "role": made.role, "login": row.name}
            by = found.used_from(row.address)
            tx.record(Entry(by, "token.create", "token", id, detail))
            return CONFIRMED, token_from(tx.one(_TOKEN, {"wanted": id}))

        return await self._database.write(take)


def _admit(waiting: Mapping[str, int], place: str) -> None:
    """Refused when too many logins wait, of all or of this network."""
    share = SHARE if place else SHARE_OF_LOOPBACK
    if waiting.get(place, 0) >= share:
        whose = "logins from your network"
    elif sum(waiting.values()) >= MOST:
        whose = "logins"
    else:
        return
    raise Refused(
        ErrorCode.TOO_MANY_REQUESTS,
        f"too many {whose} wait to be confirmed; try again in ten minutes",
    )


def _holds(token: Token, now: float) -> bool:
    return not token.revoked and (token.expires_at is None or token.expires_at > now)


def _row(id: str, digest: str, now: float, login: Row, owner: Token) -> TokenRow:
    """The token: it may no more than its owner may now, no longer, and ends with it."""
    wanted, has = Role(login.role), owner.role or Role.VIEWER
    ends = now + login.lifetime
    return TokenRow(
        id,
        "api",
        f"{owner.name}/{login.name}",
        digest,
        now,
        role=(wanted if has.includes(wanted) else has).value,
        queues=json.dumps(owner.queues),
        expires_at=ends if owner.expires_at is None else min(ends, owner.expires_at),
        owner=owner.owner or owner.id,
    )
