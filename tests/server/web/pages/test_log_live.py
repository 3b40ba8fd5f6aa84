"""A log as it grows: nothing missing, nothing twice, at most a few events a second."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientPayloadError, StreamReader

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.web.actions import log_lines
from remote_server.web.pages import log_live
from tests.server.web.api.test_logs import begun, end, write
from tests.support.live_server import Live
from tests.support.stored import finish, started
from tests.support.visitor import Visitor, visitor

DEADLINE = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_live, "_SHORTEST", 0.01)
    # A machine that stands still does not break the counting of lines off.
    monkeypatch.setattr(log_live, "COUNTING", 60.0)


@asynccontextmanager
async def listening(
    browser: Visitor, key: AttemptId, query: str = "", **headers: str
) -> AsyncIterator[StreamReader]:
    where = f"{browser.live.url}/jobs/{key.job}/log/live{query}"
    async with asyncio.timeout(DEADLINE), browser.session.get(where, headers=headers) as answer:
        assert answer.status == 200 and answer.content_type == "text/event-stream"
        yield answer.content


async def event(stream: StreamReader) -> dict[str, Any]:
    """The next event: its data, its id as `id`, its kind as `event`."""
    while True:
        fields = [line for line in (await stream.readuntil(b"\n\n")).decode().split("\n") if line]
        found = dict(line.split(": ", 1) for line in fields if not line.startswith(":"))
        if found:
            return {**json.loads(found.pop("data")), **found}


def texts(found: dict[str, Any]) -> list[tuple[int, str]]:
    return [(line["n"], line["x"]) for line in found.get("found", [])]


async def test_what_is_there_then_what_comes_then_the_end(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"one\ntwo")
    async with visitor(live, "viewer") as browser, listening(browser, key) as stream:
        first = await event(stream)
        assert (first["event"], first["id"]) == ("log", "2")
        assert texts(first) == [(1, "one"), (2, "two")] and not first["over"]
        write(live, key, b" goes on\nthree\n")
        assert texts(await event(stream)) == [(2, "two goes on"), (3, "three")]
        write(live, key, b"four")
        assert texts(await event(stream)) == [(4, "four")]
        await end(live, key)
        last = await event(stream)
        assert last["over"] and last["whole"]["word"] == "complete" and last["lines"] == 4
        assert (await event(stream))["event"] == "end"
        assert await stream.read() == b""


async def test_who_comes_back_gets_what_is_new(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"one\ntwo\nthree\n")
    async with visitor(live, "viewer") as browser:
        async with listening(browser, key, **{"Last-Event-ID": "2"}) as stream:
            assert texts(await event(stream)) == [(3, "three")]
        async with listening(browser, key, **{"Last-Event-ID": "9"}) as stream:
            found = await event(stream)
            assert found["anew"] and texts(found) == [(1, "one"), (2, "two"), (3, "three")]


async def test_one_stream(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"one\n")
    async with (
        visitor(live, "viewer") as browser,
        listening(browser, key, "?stream=stderr") as stream,
    ):
        assert (await event(stream))["rows"] == 0
        write(live, key, b"two\n")
        write(live, key, b"oops\n", cri.STDERR)
        found = await event(stream)
        while not texts(found):
            found = await event(stream)
        assert texts(found) == [(3, "oops")] and found["rows"] == 1


async def test_of_a_flood_the_last_lines_come_and_the_number_of_all(live: Live) -> None:
    key = await begun(live)
    async with visitor(live, "viewer") as browser, listening(browser, key) as stream:
        await event(stream)
        for start in range(0, 50_000, 5000):
            numbers = range(start, start + 5000)
            write(live, key, b"".join(b"line %d\n" % number for number in numbers))
        found = await event(stream)
        while found["lines"] < 50_000:
            found = await event(stream)
            assert len(found["found"]) <= log_live._MOST_LINES
        assert texts(found)[-1] == (50_000, "line 49999")


async def test_a_bar_that_was_sent_is_sent_again_when_it_moves_and_ends(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"10 %")
    async with visitor(live, "viewer") as browser, listening(browser, key) as stream:
        assert texts(await event(stream)) == [(1, "10 %")]
        lines = b"".join(b"%d\n" % number for number in range(500))
        write(live, key, lines, cri.STDERR)
        found = await event(stream)
        assert found["lines"] == 501 and found["found"][0]["n"] != 1
        write(live, key, b"\r20 %")
        assert texts(await event(stream)) == [(1, "10 %\r20 %")]
        write(live, key, b"\rdone\n")
        found = await event(stream)
        assert texts(found) == [(1, "10 %\r20 %\rdone")] and "open" not in found["found"][0]


async def test_the_end_of_a_long_log_shows_before_it_is_counted(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_live, "COUNTING", 0.0)
    key = await begun(live)
    write(live, key, b"".join(b"line %d\n" % number for number in range(20_000)))
    async with visitor(live, "viewer") as browser, listening(browser, key) as stream:
        first = await event(stream)
        assert first["counted"] < first["size"]
        assert first["ending"][-1]["x"] == "line 19999" and first["ending"][-1]["n"] == 0
        assert len(first["ending"]) == log_lines._EXCERPT_LINES
        monkeypatch.setattr(log_live, "COUNTING", 1.0)
        found = await event(stream)
        while not texts(found):
            found = await event(stream)
        assert texts(found)[-1] == (20_000, "line 19999")


async def test_a_log_that_is_begun_anew(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"one\ntwo\n")
    async with visitor(live, "viewer") as browser, listening(browser, key) as stream:
        await event(stream)
        live.services.logs.begin(key)
        write(live, key, b"other\n")
        found = await event(stream)
        assert found["anew"] and texts(found) == [(1, "other")]


async def test_the_next_attempt_is_heard_of(live: Live) -> None:
    store = live.services.store
    key = await begun(live, max_attempts=2, retry_backoff=0, retry_on=["exit"])
    async with visitor(live, "viewer") as browser, listening(browser, key, "?attempt=1") as stream:
        assert (await event(stream))["attempts"] == [[1, "running"]]
        await finish(store, key, 1, now=time.time(), size=0)
        found = await event(stream)
        assert found["over"] and found["attempts"] == [[1, "failed"]]
        while not (leases := await store.assign([(key.job, "b")], time.time())):
            await store.release_due(time.time() + 1)
        while len(found["attempts"]) < 2:
            found = await event(stream)
        second = await started(store, leases[0], time.time())
        await finish(store, second, agent="b", now=time.time(), size=0)
        while found["event"] != "end":
            found = await event(stream)


async def test_it_breaks_off_when_the_server_stops(live: Live) -> None:
    key = await begun(live)
    async with visitor(live, "viewer") as browser, listening(browser, key) as stream:
        await event(stream)
        live.services.followers.close()
        with pytest.raises(ClientPayloadError):
            while True:
                await stream.readany()


@pytest.mark.parametrize("over", [False, True])
async def test_a_record_that_is_cut_keeps_nobody_busy(
    live: Live, over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile agent can leave one for good: its reader must wait, or end, and not look again and
    again without a pause."""
    monkeypatch.setattr(log_live, "_SHORTEST", 60.0)
    key = await begun(live)
    write(live, key, b"one\n")
    live.services.logs.append(key, b"2026-11-21T03:04:05.123456789Z std")
    looks = 0
    look = log_live._LiveTail.look

    async def counting(*given: Any) -> Any:
        nonlocal looks
        looks += 1
        return await look(*given)

    monkeypatch.setattr(log_live._LiveTail, "look", counting)
    if over:
        await end(live, key)
    async with visitor(live, "viewer") as browser, listening(browser, key) as stream:
        first = await event(stream)
        assert texts(first) == [(1, "one")] and first["counted"] == first["size"]
        if over:
            assert (await event(stream))["event"] == "end"
        for _ in range(20):
            await browser.get("/about")
        assert looks == 1
