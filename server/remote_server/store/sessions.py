"""Sessions of browsers: begin, look up, use, end. Only hashes are stored. Queries live here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from sqlalchemy import bindparam, delete, func, insert, literal_column, or_, select, update

from remote_server.domain.model import SYSTEM, Principal, Session
from remote_server.store.ports import Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository
from remote_server.store.schema import sessions

MOST_EACH: Final = 100
"""Sessions of one token; one more ends the one that was used longest ago."""

_INSERT: Final = insert(sessions).values(
    {column.name: bindparam(column.name) for column in sessions.c}
)
_BY_HASH: Final = select(*sessions.c).where(sessions.c.hash == bindparam("digest"))
_END: Final = delete(sessions).where(sessions.c.hash == bindparam("digest"))
_USED: Final = (
    update(sessions).where(sessions.c.hash == bindparam("digest")).values(used_at=bindparam("now"))
)
_PRUNE: Final = delete(sessions).where(
    or_(sessions.c.expires_at <= bindparam("now"), sessions.c.used_at <= bindparam("unused_since"))
)
_COUNT: Final = select(func.count().label("number")).where(sessions.c.token == bindparam("owner"))
_OLDEST: Final = (
    select(sessions.c.hash)
    .where(sessions.c.token == bindparam("owner"))
    .order_by(sessions.c.used_at)
    .limit(literal_column("1"))
    .offset(NONE_SKIPPED)
)


class Sessions(Repository):
    """The repository of sessions."""

    async def begin_session(
        self,
        session: Session,
        unused_since: float,
        by: Principal = SYSTEM,
        audited: bool = True,
    ) -> None:
        """Store a new session. Those that have expired, or were last used before `unused_since`,
        are deleted at the same time, and the least used one of a token that has MOST_EACH.
        `audited`: the audit says so."""

        def begin(tx: Transaction) -> None:
            tx.run(_PRUNE, {"now": session.created_at, "unused_since": unused_since})
            counted = tx.one(_COUNT, {"owner": session.token})
            if counted is not None and counted.number >= MOST_EACH:
                oldest = tx.one(_OLDEST, {"owner": session.token})
                if oldest is not None:
                    tx.run(_END, {"digest": oldest.hash})
                    tx.changes.sessions.add(oldest.hash)
            tx.run(_INSERT, asdict(session))
            if audited:
                tx.audit("session.sign_in", "session", named(session.hash))

        await self._database.write(begin, by=by)

    async def session(self, digest: str) -> Session | None:
        """The session with this hash, expired ones included."""
        row = await self._database.read(lambda reader: reader.one(_BY_HASH, {"digest": digest}))
        if row is None:
            return None
        return Session(row.hash, row.token, row.created_at, row.used_at, row.expires_at)

    async def use_session(self, digest: str, now: float) -> None:
        """Note that a session was used."""
        row = {"digest": digest, "now": now}
        await self._database.write(lambda tx: tx.run(_USED, row), relaxed=True)

    async def end_session(self, digest: str, by: Principal = SYSTEM, audited: bool = True) -> None:
        """Forget a session; one that is unknown is no error. `audited`: the audit says so."""

        def end(tx: Transaction) -> None:
            if not tx.changed(_END, {"digest": digest}):
                return
            tx.changes.sessions.add(digest)
            if audited:
                tx.audit("session.sign_out", "session", named(digest))

        await self._database.write(end, by=by)


def named(digest: str) -> str:
    """What the audit calls a session: too little of its hash to find it by."""
    return digest[:12]
