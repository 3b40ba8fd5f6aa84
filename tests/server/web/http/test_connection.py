"""One connection: what is a head and what is a body, and what its budget sees of it."""

from __future__ import annotations

import asyncio

import pytest

from remote_server.web.http.connection import MAX_HEAD
from remote_server.web.http.connections import PeerKind
from tests.support.live_server import Live

HEAD = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"


async def test_a_body_is_no_head(live: Live) -> None:
    """However it is cut, and with another request after it."""
    body = b'{"command":["' + b"x" * (3 * MAX_HEAD) + b'"]}'
    one = HEAD % live.token.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    async with live.wire() as (reader, writer):
        for _ in range(3):
            for start in range(0, len(one), 20_000):
                writer.write(one[start : start + 20_000])
                await writer.drain()
            async with asyncio.timeout(20):
                assert b" 201 " in await reader.readline()
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)


async def test_a_body_right_after_its_head_and_one_much_later(live: Live) -> None:
    head = HEAD % live.token.encode() + b"Content-Length: 22\r\n\r\n"
    body = b'{"command":["/a","b"]}'
    async with live.wire() as (reader, writer):
        for turns in (0, 1, 20):
            writer.write(head)
            for _ in range(turns):
                await asyncio.sleep(0)
            writer.write(body)
            async with asyncio.timeout(20):
                assert b" 201 " in await reader.readline()
                answered = await reader.readuntil(b"\r\n\r\n")
                length = int(answered.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert b'"queued"' in await reader.readexactly(length)


async def test_others_have_their_turn_between_requests_that_come_at_once(live: Live) -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with live.wire() as (reader, writer):
        others = asyncio.create_task(work())
        writer.write(100 * b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            for _ in range(100):
                assert b" 404 " in await reader.readline()
                answered = await reader.readuntil(b"\r\n\r\n")
                length = int(answered.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
        others.cancel()
    assert turns >= 100


async def test_its_kind_follows_its_token(live: Live) -> None:
    assert (await live.get("/healthz", "")).status == 200
    counts = live.services.connections.counts
    assert counts()[PeerKind.CLIENT] + counts()[PeerKind.ANONYMOUS] >= 1
    assert (await live.get("/jobs")).status == 200
    assert counts()[PeerKind.CLIENT] == 1
    agent = await live.register()
    async with live.connect(agent):
        assert counts()[PeerKind.LINK] == 1
    (await live.get("/jobs", "rpt_" + "x" * 43)).problem(401, "invalid_token")


async def test_answers_carry_security_headers_and_no_version(live: Live) -> None:
    for path, token in (("/jobs", None), ("/healthz", ""), ("/jobs", ""), ("/nowhere", None)):
        headers = (await live.get(path, token)).headers
        assert headers["Server"] == "remote-server"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
    for media in ("text/event-stream", "application/x-ndjson"):
        accept = {"Accept": media}
        async with live.open("GET", "/events?follow=false", headers=accept) as stream:
            assert stream.headers["Server"] == "remote-server"
            assert stream.headers["X-Content-Type-Options"] == "nosniff"
            assert stream.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [b"/healthz", b"/nowhere"])
async def test_an_expectation_that_is_no_text_is_the_clients_fault(
    live: Live, caplog: pytest.LogCaptureFixture, path: bytes
) -> None:
    async with live.wire() as (reader, writer):
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nExpect: \xff\r\n\r\n")
        async with asyncio.timeout(20):
            assert b" 400 " in await reader.readline()
    assert "Error handling request" not in caplog.text


async def test_a_client_that_leaves_before_it_may_go_on_is_no_mistake(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    begun = HEAD % live.token.encode() + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    for _ in range(20):
        async with live.wire() as (_, writer):
            writer.write(begun * 3)
            await writer.drain()
            writer.transport.abort()
    assert (await live.get("/healthz", "")).status == 200
    assert "Error handling request" not in caplog.text
