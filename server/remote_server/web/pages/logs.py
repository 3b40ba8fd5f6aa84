"""The log of a job's attempt: alone on a page, its lines by number, raw, downloaded, searched."""

from __future__ import annotations

import json
from typing import Any, Final, Self

from aiohttp import web
from pydantic import Field, model_validator

from remote_server.queries.jobs import whole_job
from remote_server.web.access import VIEWER
from remote_server.web.actions.logs import may_be_packed, reader_of
from remote_server.web.http.frames import TEXT, Stream
from remote_server.web.http.problems import not_found
from remote_server.web.logs.find import find
from remote_server.web.logs.forms import Plain
from remote_server.web.logs.lines import LineRange
from remote_server.web.logs.tail import Tail
from remote_server.web.pages.log_source import (
    COUNTING,
    LogQuery,
    LogSource,
    last_lines,
    log_shown,
    log_source,
)
from remote_server.web.pages.rendering import HEADERS, PageShown, render
from remote_server.web.route import JSON, Call, Route

_MOST_LINES: Final = 500
_LOOKING: Final = 0.4
"""Seconds for which one call searches."""
_MOST_NUMBER: Final = 1 << 53
"""What a script can count to."""


class LogPage(PageShown):
    """The query of a log's page."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one."""


class LinesQuery(LogQuery):
    """The query of lines, which begin at one of three."""

    row: int | None = Field(default=None, ge=1, lt=_MOST_NUMBER)
    """A place among the lines of the wanted stream, or of both."""
    number: int | None = Field(default=None, ge=1, lt=_MOST_NUMBER)
    """The number of a line; where it is of another stream, the next one is meant."""
    last: bool = False
    count: int = Field(default=200, ge=1, le=_MOST_LINES)

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.row is not None) + (self.number is not None) + self.last != 1:
            raise ValueError("give a row, or a number, or last: each says where to begin")
        return self


class FindQuery(LogQuery):
    """The query of a search."""

    words: str = Field(min_length=1, max_length=200)
    offset: int = Field(default=0, ge=0, lt=1 << 62)
    """Position in the stored log from which to look on."""


class RawQuery(LogQuery):
    """The query of a log as text."""

    download: bool = False
    first: int | None = Field(default=None, ge=1, lt=_MOST_NUMBER)
    last: int | None = Field(default=None, ge=1, lt=_MOST_NUMBER)
    """Only lines with these numbers."""


@Route("GET", "/jobs/{id}/log", VIEWER, page=True, query=LogPage)
async def log_page(call: Call) -> web.StreamResponse:
    """The log alone."""
    services = call.services
    query = call.query(LogPage)
    job = await services.store.job(call.path("id"))
    view = await whole_job(services.sources, job, values_shown=False)
    shown = await log_shown(call, job.id, query.attempt)
    return render(call, "log_page.html", job=view, attempt=query.attempt or job.attempt, log=shown)


@Route("GET", "/jobs/{id}/log/lines", VIEWER, page=True, query=LinesQuery)
async def lines(call: Call) -> web.StreamResponse:
    """Some lines, as JSON."""
    query = call.query(LinesQuery)
    source = await _source(call, query)
    size, reader, stream = await source.size(), source.reader, query.stream
    index = source.index(size)
    wanted = 0 if stream or query.last else (query.row or query.number or 0) + query.count
    await index.count(reader, size, COUNTING, wanted)
    counted = index.looked >= size
    found: list[dict[str, Any]] = []
    if not query.last:
        by_number = query.number is not None
        first = query.number or query.row or 1
        shown = await index.lines(reader, first, query.count, stream, by_number=by_number)
        found = [line.shown() for line in shown]
    elif counted:
        first = max(1, index.place.begun(stream) - query.count + 1)
        shown = await index.lines(reader, first, query.count, stream)
        found = [line.shown() for line in shown]
    else:
        found = [{**line.shown(), "n": 0, "k": 0} for line in await last_lines(reader, size)]
    return _json({**source.status(size, index, stream), "found": found})


@Route("GET", "/jobs/{id}/log/find", VIEWER, page=True, query=FindQuery)
async def find_lines(call: Call) -> web.StreamResponse:
    """Lines that have some words, as JSON: a part of the log is looked through at a time."""
    query = call.query(FindQuery)
    source = await _source(call, query)
    size, reader = await source.size(), source.reader
    index = source.index(size)
    await index.count(reader, size, COUNTING)
    found = await find(index, reader, query.words, query.offset, _LOOKING, query.stream)
    # A record that is cut now is looked at when it is whole.
    done = index.looked >= size and found.at >= index.place.offset
    return _json({"hits": found.hits, "at": found.at, "size": size, "done": done})


@Route("GET", "/jobs/{id}/log/raw", VIEWER, page=True, query=RawQuery, media=(TEXT,), lasting=True)
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

        tail = Tail(services.logs, key, services.streams.turn, packed)
        await tail.drain(Plain(query.stream, 0), stream, size)
    else:
        await _some_lines(source, query, stream, size)
    return await stream.close()


async def _some_lines(source: LogSource, query: RawQuery, stream: Stream, size: int) -> None:
    index, reader = source.index(size), reader_of(source.call, source.key)
    first, last = query.first or 1, query.last or _MOST_NUMBER
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
