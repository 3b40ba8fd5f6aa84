"""The audit: who did what to what, from where, with what result. For admins."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web
from pydantic import field_validator

from remote_protocol.api.audit import AuditEntry
from remote_protocol.api.bodies import Page
from remote_server.queries.audit import audit_entry, audit_json
from remote_server.web.access import ADMIN
from remote_server.web.actions.audit import AuditQuery
from remote_server.web.actions.stream import MEDIA, Slice, Source, StreamQuery, stream
from remote_server.web.followers import AUDIT
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


class AuditStreamQuery(StreamQuery, AuditQuery):
    """The query of `GET /audit/stream`."""


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
    media=MEDIA,
    headers=("Last-Event-ID",),
    lasting=True,
    operation="stream_audit",
)
async def stream_audit(call: Call) -> web.StreamResponse:
    """The audit, the oldest entries first; resumes after `after` or Last-Event-ID."""
    query, store = call.query(AuditStreamQuery), call.services.store
    wanted = query.filter(time.time())

    async def last() -> int:
        return (await store.audit_end()).number

    async def read(after: int) -> Slice:
        rows, upto = await store.audit_after(after, wanted, limit=_SLICE)
        return Slice([(row.number, audit_json(row)) for row in rows], upto)

    return await stream(call, query, Source("audit", AUDIT, last, read))
