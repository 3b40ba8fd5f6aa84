"""Contents: which there are, who has sent them, which jobs need them. Queries live here.

The bytes are elsewhere (`contents.ports`); a row is written only when they are durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from remote_protocol.states import JobState
from remote_server.domain.contents import Unneeded, Usage
from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import ContentMissing
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.schema import content_claims, contents, job_contents, jobs

LEAST: Final = 4096
"""Bytes that any content counts for at the least: a block of the disk, and its rows."""
_UNFINISHED: Final = tuple(state.value for state in JobState if not state.terminal)
_BLOCK: Final[ColumnElement[int]] = literal_column(str(LEAST))
_COST: Final = case((contents.c.size < _BLOCK, _BLOCK), else_=contents.c.size)
_SENT: Final = (
    select(contents.c.size)
    .join_from(contents, content_claims, content_claims.c.digest == contents.c.digest)
    .where(contents.c.digest == bindparam("wanted"), content_claims.c.owner == bindparam("of"))
)
_SIZE: Final = select(contents.c.size).where(contents.c.digest == bindparam("wanted"))
_ADD: Final = insert(contents).values(
    {column.name: bindparam(column.name) for column in contents.c}
)
_USE: Final = (
    update(contents).where(contents.c.digest == bindparam("wanted")).values(used_at=bindparam("at"))
)
_CLAIM: Final = insert(content_claims).values(
    {column.name: bindparam(column.name) for column in content_claims.c}
)
_NEED: Final = insert(job_contents).values(
    {column.name: bindparam(column.name) for column in job_contents.c}
)
_TOTAL: Final = select(func.sum(_COST).label("bytes"))
_OWN: Final = (
    select(func.sum(_COST).label("bytes"))
    .join_from(contents, content_claims, content_claims.c.digest == contents.c.digest)
    .where(content_claims.c.owner == bindparam("of"))
)
_NEEDED: Final = (
    select(job_contents.c.job)
    .join_from(job_contents, jobs, jobs.c.id == job_contents.c.job)
    .where(job_contents.c.digest == contents.c.digest, is_state(jobs.c.state, *_UNFINISHED))
    .correlate(contents)
    .exists()
)
_ENDED: Final = (
    select(func.max(jobs.c.ended_at))
    .join_from(job_contents, jobs, jobs.c.id == job_contents.c.job)
    .where(job_contents.c.digest == contents.c.digest)
    .correlate(contents)
    .scalar_subquery()
)
_SINCE: Final = case((contents.c.used_at < _ENDED, _ENDED), else_=contents.c.used_at)
_UNNEEDED: Final = (
    select(contents.c.digest, contents.c.size, _SINCE.label("since"))
    .where(~_NEEDED)
    .order_by(_SINCE)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_IS_UNNEEDED: Final = select(contents.c.digest).where(
    contents.c.digest == bindparam("wanted"), ~_NEEDED
)
_FORGET: Final = (
    delete(job_contents).where(job_contents.c.digest == bindparam("wanted")),
    delete(content_claims).where(content_claims.c.digest == bindparam("wanted")),
    delete(contents).where(contents.c.digest == bindparam("wanted")),
)
_DIGESTS: Final = select(contents.c.digest)
_NEEDS: Final = (
    select(job_contents.c.digest, job_contents.c.job, jobs.c.id)
    .join_from(job_contents, jobs, jobs.c.id == job_contents.c.job, isouter=True)
    .where(
        or_(
            job_contents.c.digest > bindparam("after_digest"),
            and_(
                job_contents.c.digest == bindparam("after_digest"),
                job_contents.c.job > bindparam("after_job"),
            ),
        )
    )
    .order_by(job_contents.c.digest, job_contents.c.job)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_CLEAR: Final = delete(job_contents).where(
    job_contents.c.digest == bindparam("of_digest"), job_contents.c.job == bindparam("of_job")
)
_PAGE: Final = 1_000


def require_contents(
    reader: Reader, wanted: Mapping[str, int], by: Principal, *, repeated: bool = False
) -> None:
    """ContentMissing when one of these contents, by digest and size, was not sent by whoever
    submits a job, or is kept no longer. `repeated`: the job is another one's repetition, and only
    has to be possible."""
    for digest, size in wanted.items():
        where = {"wanted": digest, "of": by.id}
        row = reader.one(_SIZE if repeated else _SENT, where)
        if row is None and repeated:
            raise ContentMissing(
                f"the content {digest} of the job is kept no longer; submit it anew, with its files"
            )
        if row is None:
            raise ContentMissing(
                f"the content {digest} is not here, or was not sent with this token, or is kept no "
                f"longer: send it by PATCH /api/v1/contents/{digest}, as remotectl run does, and "
                "submit the job again"
            )
        if row.size != size:
            raise ContentMissing(
                f"the content {digest} has {row.size} bytes, and the job says {size}; correct the "
                "size in the job"
            )


def note_needs(tx: Transaction, jobs: Sequence[str], wanted: Iterable[str], now: float) -> None:
    """New jobs need these contents."""
    for digest in wanted:
        tx.run(_USE, {"wanted": digest, "at": now})
        tx.many(_NEED, [{"digest": digest, "job": job} for job in jobs])


class Contents(Repository):
    """The repository of contents."""

    _cleared: tuple[str, str] = ("", "")

    async def content_sent(self, digest: str, by: Principal) -> int | None:
        """The size of a content that this sender has sent; None for all others."""
        where = {"wanted": digest, "of": by.id}
        row = await self._database.read(lambda reader: reader.one(_SENT, where))
        return None if row is None else int(row.size)

    async def keep_content(
        self, digest: str, size: int, now: float, by: Principal = SYSTEM
    ) -> None:
        """It is whole, and this sender has sent all of it."""

        def keep(tx: Transaction) -> None:
            if tx.one(_SIZE, {"wanted": digest}) is None:
                row = {"digest": digest, "size": size, "created_at": now, "used_at": now}
                tx.run(_ADD, row)
            else:
                tx.run(_USE, {"wanted": digest, "at": now})
            if tx.one(_SENT, {"wanted": digest, "of": by.id}) is None:
                tx.run(_CLAIM, {"digest": digest, "owner": by.id, "at": now})
            tx.audit("content.send", "content", digest, {"size": size})

        await self._database.write(keep, by=by)

    async def content_usage(self, by: Principal) -> Usage:
        """What all contents take, and those of a sender."""

        def read(reader: Reader) -> Usage:
            found = [reader.one(query, {"of": by.id}) for query in (_TOTAL, _OWN)]
            total, own = (0 if row is None else int(row.bytes or 0) for row in found)
            return Usage(total, own)

        return await self._database.read(read)

    async def unneeded_contents(self, limit: int) -> list[Unneeded]:
        """Those that no unfinished job names, the one that was needed longest ago first."""
        rows = await self._database.read(
            lambda reader: reader.all(_UNNEEDED, {"count": limit}), long=True
        )
        return [Unneeded(row.digest, row.size, row.since) for row in rows]

    async def forget_content(self, digest: str) -> bool:
        """Delete what is known of one that no unfinished job names; whether it was."""

        def forget(tx: Transaction) -> bool:
            if tx.one(_IS_UNNEEDED, {"wanted": digest}) is None:
                return False
            for statement in _FORGET:
                tx.run(statement, {"wanted": digest})
            return True

        return await self._database.write(forget)

    async def known_contents(self) -> set[str]:
        """The digests of all."""
        rows = await self._database.read(lambda reader: reader.all(_DIGESTS), long=True)
        return {row.digest for row in rows}

    async def clear_content_needs(self) -> bool:
        """Delete what is known of the needs of jobs that are forgotten: of some with each call, so
        that nobody waits for it. Whether there are more, which the next call looks at."""
        digest, job = self._cleared
        where = {"after_digest": digest, "after_job": job, "count": _PAGE}
        rows = await self._database.read(lambda reader: reader.all(_NEEDS, where))
        self._cleared = (rows[-1].digest, rows[-1].job) if len(rows) == _PAGE else ("", "")
        gone = [{"of_digest": row.digest, "of_job": row.job} for row in rows if row.id is None]
        if gone:
            await self._database.write(lambda tx: tx.many(_CLEAR, gone), relaxed=True)
        return len(rows) == _PAGE
