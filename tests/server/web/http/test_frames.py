"""Which form a client wants, and the framing of server-sent events."""

from __future__ import annotations

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer

from remote_server.web.http.frames import (
    CRI,
    NDJSON,
    SSE,
    TEXT,
    ClientGone,
    Stream,
    choose,
    sse,
)
from remote_server.web.http.problems import ApiProblem
from remote_server.web.route import Call

OFFERED = (TEXT, NDJSON, SSE, CRI)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("application/*", NDJSON),
        ("application/x-ndjson", NDJSON),
        ("APPLICATION/X-NDJSON; q=0.5", NDJSON),
        ("text/event-stream, */*", SSE),
        ("text/plain;q=0.2, application/vnd.cri-log;q=0.9", CRI),
        ("*/*;q=0.1, text/event-stream;q=0.1", SSE),
        ("text/plain;q=0, application/x-ndjson", NDJSON),
        ("image/png, text/plain;q=0.1", TEXT),
        ("text/event-stream;q=1e400, application/x-ndjson;q=1", NDJSON),
        ("text/event-stream;q=nan, application/x-ndjson", NDJSON),
    ],
)
def test_the_preferred_form(accept: str | None, chosen: str) -> None:
    assert choose(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["image/png", "text/plain;q=0", "text/plain;q=x"])
def test_nothing_acceptable(accept: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        choose(accept, OFFERED)
    assert TEXT in caught.value.detail


def test_events_are_framed() -> None:
    assert sse("x") == "data: x\n\n"
    assert sse("x", 7, "end") == "event: end\nid: 7\ndata: x\n\n"


async def test_a_stream_notices_that_its_client_has_left() -> None:
    gone: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        stream = Stream(Call(request, None, None), SSE)  # type: ignore[arg-type]
        await stream.open()
        await stream.keep_alive()
        await stream.write(b"")
        await stream.write(b"data: 1\n\n")
        if "leave" in request.query:
            assert request.transport is not None
            request.transport.abort()
            try:
                await stream.keep_alive()
            except ClientGone as error:
                gone.append(str(error))
        return await stream.close() if not gone else web.Response()

    application = web.Application()
    application.router.add_get("/", handler)
    async with TestClient(TestServer(application)) as client:
        async with client.get("/") as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert await response.text() == ": keep-alive\n\ndata: 1\n\n"
        with pytest.raises((ConnectionError, ClientPayloadError)):
            async with client.get("/?leave=1") as response:
                await response.read()
    assert gone == ["the client has left"]
