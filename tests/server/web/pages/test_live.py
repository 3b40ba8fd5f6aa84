"""Pages hear of changes."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientPayloadError

from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_a_page_hears_of_a_change(live: Live) -> None:
    async with (
        visitor(live, "viewer") as browser,
        browser.session.get(f"{live.url}/live") as stream,
    ):
        assert stream.content_type == "text/event-stream"
        assert await stream.content.readuntil(b"\n\n") == b"event: open\ndata: {}\n\n"
        await live.post("/jobs", {"command": ["true"]})
        async with asyncio.timeout(30):
            assert b"changed" in await stream.content.readuntil(b"event: changed")


async def test_it_is_for_those_who_are_signed_in(live: Live) -> None:
    async with visitor(live, None) as browser:
        assert (await browser.get("/live")).location == "./login"


async def test_it_breaks_off_when_the_server_stops(live: Live) -> None:
    async with (
        visitor(live, "viewer") as browser,
        browser.session.get(f"{live.url}/live") as stream,
    ):
        await stream.content.readuntil(b"\n\n")
        live.services.followers.close()
        async with asyncio.timeout(30):
            # Broken off, not ended: a browser comes back.
            with pytest.raises(ClientPayloadError):
                while True:
                    await stream.content.readany()
