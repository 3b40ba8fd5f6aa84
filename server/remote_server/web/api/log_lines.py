"""Lines of a log by number, and lines that have some words: what the viewer of the pages shows."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.api.log_lines import LogLine, LogLines, LogMatch, LogMatches
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.log_lines import (
    FindQuery,
    LinesQuery,
    existing_log,
    matches,
    some_lines,
)
from remote_server.web.logs.lines import Line
from remote_server.web.route import Call, Route, answer


@Route("GET", "/api/v1/jobs/{id}/log/lines", QUEUE_VIEWER, query=LinesQuery, answer=LogLines)
async def lines(call: Call) -> web.StreamResponse:
    """Lines of a log by number, or its last ones."""
    query = call.query(LinesQuery)
    log = await existing_log(call, query)
    found = await some_lines(log, query)
    return answer(
        LogLines.model_construct(
            attempt=log.attempt.number,
            items=[_line(line, found.numbered) for line in found.lines],
            lines=found.index.place.begun(),
            counted=found.counted,
            size=found.size,
            over=log.over,
        )
    )


@Route(
    "GET",
    "/api/v1/jobs/{id}/log/find",
    QUEUE_VIEWER,
    query=FindQuery,
    answer=LogMatches,
    operation="find_in_job_log",
)
async def find(call: Call) -> web.StreamResponse:
    """Numbers of the lines that have some words, capitals A to Z being small letters."""
    query = call.query(FindQuery)
    log = await existing_log(call, query)
    seen = await matches(log, query)
    hits = [LogMatch.model_construct(number=n, stream_number=k) for n, k in seen.found.hits]
    return answer(
        LogMatches.model_construct(
            attempt=log.attempt.number,
            items=hits,
            offset=seen.found.at,
            size=seen.size,
            done=seen.done,
        )
    )


def _line(line: Line, numbered: bool) -> LogLine:
    part, shown = line.part, line.shown()
    return LogLine.model_construct(
        number=part.number if numbered else None,
        stream_number=part.ordinal if numbered else None,
        stream=part.stream,
        time=shown["t"],
        text=shown["x"],
        left_out=line.left_out,
        rest=shown.get("y", ""),
        open=not line.ends,
    )
