"""The audit: who did what to what, from where, with what result. For admins."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiohttp import web
from pydantic import Field, field_validator

from remote_protocol.api.audit import AuditEntry
from remote_protocol.api.bodies import Page
from remote_server.domain.audit import Recorded
from remote_server.queries.audit import audit_entry, audit_json
from remote_server.web.access import ADMIN
from remote_server.web.actions.audit import AuditQuery
from remote_server.web.followers import AUDIT, wait
from remote_server.web.http.frames import (
    KEEP_ALIVE,
    NDJSON,
    SSE,
    ClientGone,
    Stream,
    accepted,
    sse,
)
from remote_server.web.http.headers import last_event_id
from remote_server.web.http.paging import FOREIGN
from remote_server.web.route import Call, PageQuery, Route, answer

_SLICE: Final = 200
_LONGEST: Final = 19
"""Digits of a number of an entry."""


class AuditPageQuery(PageQuery, AuditQuery):
    """The query of `GET /audit`."""

    @field_validator("cursor")
    @classmethod
    def _made_here(cls, cursor: str | None) -> str | None:
        if cursor is not None and not (cursor.isdecimal() and len(cursor) < _LONGEST):
            raise ValueError(FOREIGN)
        return cursor


class AuditStreamQuery(AuditQuery):
    """The query of `GET /audit/stream`."""

    after: int | None = Field(default=None, ge=-1, lt=1 << 62)
    """Number of the last entry seen; 0, the default: from the first one kept; -1: only what
    happens from now on."""
    follow: bool | None = None
    """Go on with what happens next; default: yes for SSE, no for ndjson."""


@Route("GET", "/api/v1/audit", ADMIN, query=AuditPageQuery, answer=Page[AuditEntry])
async def list_audit(call: Call) -> web.StreamResponse:
    """List the audit, the newest entries first; a page may be short and still have a next one."""
    query = call.query(AuditPageQuery)
    cursor = None if query.cursor is None else int(query.cursor)
    found, following = await call.services.store.audit_page(
        query.filter(time.time()), limit=query.limit, cursor=cursor
    )
    views = [audit_entry(row) for row in found]
    after = None if following is None else str(following)
    return answer(Page[AuditEntry].model_construct(items=views, next_cursor=after))


@Route(
    "GET",
    "/api/v1/audit/stream",
    ADMIN,
    query=AuditStreamQuery,
    media=(NDJSON, SSE),
    headers=("Last-Event-ID",),
    lasting=True,
    operation="stream_audit",
)
async def stream_audit(call: Call) -> web.StreamResponse:
    """The audit, the oldest entries first; resumes after `after` or Last-Event-ID."""
    query = call.query(AuditStreamQuery)
    services, wanted = call.services, query.filter(time.time())
    media = accepted(call.request, (NDJSON, SSE))
    follow = media == SSE if query.follow is None else query.follow
    resumed = last_event_id(call.request)
    after = resumed if resumed is not None else query.after or 0
    if after == -1:
        after = (await services.store.audit_end()).number
    turn = services.streams.turns.of(call.token.id)
    stream = Stream(call, media)
    with services.followers.follow(AUDIT) as changed:
        await stream.open()
        if media == SSE:
            await stream.write(b": audit\n\n")
        while True:
            changed.clear()
            while True:
                async with turn:
                    before = after
                    rows, after = await services.store.audit_after(after, wanted, limit=_SLICE)
                    text = _text(rows, media)
                    await asyncio.sleep(0)
                if after == before:
                    break
                if text:
                    await stream.write(text.encode())
            if not follow:
                await stream.event("end", {"after": after})
                return await stream.close()
            if services.followers.closing:
                raise ClientGone("the server stops")
            if not await wait(changed, KEEP_ALIVE):
                await stream.keep_alive()


def _text(rows: list[Recorded], media: str) -> str:
    if media == SSE:
        return "".join(sse(audit_json(row), row.number) for row in rows)
    return "".join(f"{audit_json(row)}\n" for row in rows)
