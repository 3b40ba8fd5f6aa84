"""Long answers are counted for each token, and end with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiohttp import ClientResponse

from remote_protocol.errors import ErrorCode
from remote_server.domain.model import Token
from remote_server.errors import StoreUnavailable
from remote_server.web.authenticator import digest
from remote_server.web.http.problems import ApiProblem
from remote_server.web.http.streams import Judges, Streams
from tests.support.live_server import Live
from tests.support.stored import running as run_job
from tests.support.visitor import Visitor, visitor

DEADLINE = 30.0
ONE = Token("01ARZ3NDEKTSV4RRFFQ69G5FAV", "api", "one", 0.0)
OVER = ApiProblem(ErrorCode.INVALID_TOKEN, "over")
TWO = Token("01ARZ3NDEKTSV4RRFFQ69G5FAW", "api", "two", 0.0)
FORMS = {
    "events": ("/events?follow=true", "text/event-stream"),
    "ndjson": ("/events?follow=true", "application/x-ndjson"),
    "log": ("/jobs/{job}/log?follow=true", "text/plain"),
    "log sse": ("/jobs/{job}/log?follow=true", "text/event-stream"),
    "log ndjson": ("/jobs/{job}/log?follow=true", "application/x-ndjson"),
    "log cri": ("/jobs/{job}/log?follow=true", "application/vnd.cri-log"),
}


async def test_they_are_counted_for_each_token_and_in_total() -> None:
    streams = Streams(3, 2)
    with streams.admit(ONE, print), streams.admit(ONE, print):
        with pytest.raises(ApiProblem) as caught, streams.admit(ONE, print):
            pass
        assert caught.value.status == 429
        with streams.admit(TWO, print):
            with pytest.raises(ApiProblem) as caught, streams.admit(TWO, print):
                pass
            assert caught.value.status == 503
    with streams.admit(ONE, print), streams.admit(TWO, print):
        pass
    assert not streams._open
    assert not streams._of


async def test_only_streams_of_a_refused_token_are_cut() -> None:
    streams, cut = Streams(9, 9), []

    async def judge(token: Token) -> ApiProblem | None:
        return OVER if token is ONE else None

    with (
        streams.admit(ONE, lambda: cut.append(1)),
        streams.admit(TWO, lambda: cut.append(2)),
        streams.admit(ONE, lambda: cut.append(3)),
    ):
        await streams.look(Judges(judge, nobody))
    assert sorted(cut) == [1, 3]


async def nobody(_: object) -> ApiProblem | None:
    return None


async def test_only_streams_of_a_session_that_is_over_are_cut() -> None:
    streams, cut = Streams(9, 9), []

    async def judge(session: str) -> ApiProblem | None:
        return OVER if session == "over" else None

    with (
        streams.admit(ONE, lambda: cut.append(1), "over"),
        streams.admit(ONE, lambda: cut.append(2), "another"),
        streams.admit(ONE, lambda: cut.append(3)),
    ):
        await streams.look(Judges(nobody, judge))
    assert cut == [1]


def test_the_next_look_is_when_a_token_ends() -> None:
    streams = Streams(9, 9)
    assert streams._until(100.0) == 5.0
    soon = Token(ONE.id, "api", "soon", 0.0, expires_at=101.0)
    with streams.admit(soon, print):
        assert streams._until(100.0) == 1.0
        assert streams._until(200.0) == 0.05


async def ends(live: Live, form: str, token: str, how: object) -> bool:
    """Open a stream, have its token end, and see that the stream does. False when the token had
    ended before."""
    key = await run_job(live.services.store, now=time.time())
    live.services.logs.append(key, b"2026-11-21T03:04:05.123456789Z stdout F hi\n")
    path, media = FORMS[form]
    async with live.open(
        "GET", path.format(job=key.job), token, headers={"Accept": media}
    ) as stream:
        if stream.status == 401:
            return False
        assert stream.status == 200
        await stream.content.readany()
        assert callable(how)
        await how()
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(Exception):  # noqa: B017 - aiohttp has several for a cut
                await stream.content.read()
                raise ConnectionError
    return True


@pytest.mark.parametrize("form", FORMS)
async def test_a_revoked_token_ends_its_streams(live: Live, form: str) -> None:
    made = (await live.post("/tokens", {"name": "v", "role": "viewer"})).body

    async def revoke() -> None:
        assert (await live.ask("DELETE", f"/tokens/{made['id']}")).status == 204

    assert await ends(live, form, made["token"], revoke)
    assert not live.services.streams._open


@pytest.mark.parametrize("form", ["events", "log"])
async def test_an_expired_token_ends_its_streams(live: Live, form: str) -> None:
    async def nothing() -> None:
        pass

    # One that expires before its stream begins is made again, for longer.
    for lifetime in ("1s", "5s", "25s"):
        made = (await live.post("/tokens", {"name": "v", "expires": lifetime})).body
        if await ends(live, form, made["token"], nothing):
            return
    raise AssertionError("every token had expired before its stream began")


async def test_one_token_leaves_followers_to_others(live: Live) -> None:
    live.services.streams._most_each = 2
    viewer = await live.token_for("viewer")
    sse = {"Accept": "text/event-stream"}
    async with (
        live.open("GET", "/events", viewer, headers=sse),
        live.open("GET", "/events", viewer, headers=sse),
    ):
        refused = await live.get("/events", viewer, headers=sse)
        refused.problem(429, "too_many_requests")
        assert refused.headers["Retry-After"] == "10"
        async with live.open("GET", "/events", headers=sse) as mine:
            assert mine.status == 200


PAGES = ("/live", "/jobs/{job}/log/live")


@asynccontextmanager
async def looked_at(live: Live, browser: Visitor, page: str) -> AsyncIterator[ClientResponse]:
    """The stream of a page of a running job."""
    key = await run_job(live.services.store, now=time.time())
    async with browser.session.get(live.url + page.format(job=key.job)) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        await answer.content.readany()
        yield answer


async def is_cut(stream: ClientResponse) -> None:
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(Exception):  # noqa: B017 - aiohttp has several for a cut
            while True:
                if not await stream.content.readany():
                    raise ConnectionError


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_hears_nothing_more_after_the_sign_out(live: Live, page: str) -> None:
    async with (
        visitor(live, "viewer") as browser,
        visitor(live, "viewer") as other,
        looked_at(live, browser, page) as stream,
        looked_at(live, other, page),
    ):
        assert (await browser.send("/logout")).status == 303
        await is_cut(stream)
        assert len(live.services.streams._open) == 1, "the other one looks on"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("setting", ["_idle", "_longest"])
async def test_a_page_hears_nothing_more_after_the_session(
    live: Live, page: str, setting: str
) -> None:
    sessions = live.services.sessions
    async with visitor(live, "viewer") as browser, looked_at(live, browser, page) as stream:
        # As if so much time had gone by.
        if setting == "_idle":
            sessions._idle = -1.0
        else:
            row = await live.services.store.session(digest(browser.secret))
            await live.services.store.end_session(row.hash, audited=False)
            over = replace(row, expires_at=time.time() - 1.0)
            await live.services.store.begin_session(over, 0.0, audited=False)
        await is_cut(stream)


async def test_what_a_session_that_nobody_can_read_shows_goes_on(live: Live) -> None:
    async def away(_: str) -> None:
        raise StoreUnavailable("away")

    live.services.sessions._store = SimpleNamespace(session=away)
    assert await live.services.sessions.judge("any") is None
