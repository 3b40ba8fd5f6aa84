"""The log of a job's attempt: alone on a page, its lines by number, raw, downloaded, searched."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from pydantic import Field

from remote_server.queries.jobs import whole_job
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.log_lines import (
    COUNTING,
    MOST_NUMBER,
    FindQuery,
    LinesQuery,
    LogQuery,
    matches,
    some_lines,
)
from remote_server.web.actions.logs import may_be_packed, reader_of
from remote_server.web.http.frames import TEXT, Stream
from remote_server.web.http.problems import not_found
from remote_server.web.logs.forms import Plain
from remote_server.web.logs.lines import LineRange
from remote_server.web.logs.tail import Tail
from remote_server.web.pages.log_source import LogSource, log_shown, log_source
from remote_server.web.pages.rendering import HEADERS, PageShown, render
from remote_server.web.route import JSON, Call, Route


class LogPage(PageShown):
    """The query of a log's page."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one."""


class RawQuery(LogQuery):
    """The query of a log as text."""

    download: bool = False
    first: int | None = Field(default=None, ge=1, lt=MOST_NUMBER)
    last: int | None = Field(default=None, ge=1, lt=MOST_NUMBER)
    """Only lines with these numbers."""


@Route("GET", "/jobs/{id}/log", QUEUE_VIEWER, page=True, query=LogPage)
async def log_page(call: Call) -> web.StreamResponse:
    """The log alone."""
    services = call.services
    query = call.query(LogPage)
    job = await services.store.job(call.path("id"))
    view = await whole_job(services.sources, job, values_shown=False)
    shown = await log_shown(call, job.id, query.attempt)
    return render(call, "log_page.html", job=view, attempt=query.attempt or job.attempt, log=shown)


@Route("GET", "/jobs/{id}/log/lines", QUEUE_VIEWER, page=True, query=LinesQuery)
async def lines(call: Call) -> web.StreamResponse:
    """Some lines, as JSON."""
    query = call.query(LinesQuery)
    source = await _source(call, query)
    shown = await some_lines(source, query)
    found = [line.shown() for line in shown.lines]
    if not shown.numbered:
        found = [{**line, "n": 0, "k": 0} for line in found]
    return _json({**source.status(shown.size, shown.index, query.stream), "found": found})


@Route("GET", "/jobs/{id}/log/find", QUEUE_VIEWER, page=True, query=FindQuery)
async def find_lines(call: Call) -> web.StreamResponse:
    """Lines that have some words, as JSON: a part of the log is looked through at a time."""
    query = call.query(FindQuery)
    source = await _source(call, query)
    found = await matches(source, query)
    hits, at = found.found.hits, found.found.at
    return _json({"hits": hits, "at": at, "size": found.size, "done": found.done})


@Route(
    "GET",
    "/jobs/{id}/log/raw",
    QUEUE_VIEWER,
    page=True,
    query=RawQuery,
    media=(TEXT,),
    lasting=True,
)
async def raw(call: Call) -> web.StreamResponse:
    """What the job printed, byte for byte, all of it or some lines; to be looked at or kept."""
    query = call.query(RawQuery)
    source = await _source(call, query)
    headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
    if query.download:
        part = f".{query.stream}" if query.stream else ""
        name = f"{source.job.id}.{source.attempt.number}{part}.log"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    stream = Stream(call, TEXT, headers)
    size = await source.size()
    await stream.open()
    if query.first is None and query.last is None:
        services, key = call.services, source.key

        async def packed() -> bool:
            return await may_be_packed(call, key)

        tail = Tail(services.logs, key, services.streams.turns.of(call.token.id), packed)
        await tail.drain(Plain(query.stream, 0), stream, size)
    else:
        await _send_lines(source, query, stream, size)
    return await stream.close()


async def _send_lines(source: LogSource, query: RawQuery, stream: Stream, size: int) -> None:
    index, reader = source.index(size), reader_of(source.call, source.key)
    first, last = query.first or 1, query.last or MOST_NUMBER
    while index.looked < size and index.place.begun() <= last:
        await index.count(reader, size, COUNTING, last)
    lines = LineRange(index.before(first), first, last, query.stream)
    piece = b""

    def take(data: bytes) -> bool:
        nonlocal piece
        piece = lines.feed(data)
        return False

    while not lines.over:
        before = lines.offset
        await reader.go_through(before, size, take)
        if lines.offset == before:
            return
        await stream.write(piece)


async def _source(call: Call, query: LogQuery) -> LogSource:
    source = await log_source(call, call.path("id"), query.attempt)
    if source is None:
        raise not_found("log of job", call.path("id"))
    return source


def _json(values: dict[str, Any]) -> web.Response:
    body = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=body, headers={"Content-Type": JSON, **HEADERS})
