"""What a browser sees when something is wrong."""

from __future__ import annotations

from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_a_page_that_is_not_there(live: Live) -> None:
    async with visitor(live) as browser:
        seen = await browser.get("/queues/nothing")
        assert seen.status == 404 and "There is no queue 'nothing'." in seen.words
        assert "<nav" in seen.text
        seen = await browser.get("/nowhere")
        assert seen.status == 404 and "<html" in seen.text


async def test_programs_get_problems_not_pages(live: Live) -> None:
    async with live.session.get(f"{live.url}/nowhere") as answer:
        assert answer.content_type == "application/problem+json"
    async with visitor(live) as browser:
        seen = await browser.get("/api/v1/nowhere")
        assert seen.headers["Content-Type"] == "application/problem+json"


async def test_who_may_not_is_told_what_is_missing(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        seen = await browser.send("/queues", name="x")
        assert seen.status == 403 and "the role admin" in seen.words


async def test_a_failure_of_the_server_is_a_page_too(live: Live) -> None:
    async def fails() -> None:
        raise RuntimeError("a test's")

    async with visitor(live) as browser:
        live.services.store.queues = fails
        seen = await browser.get("/queues")
        assert seen.status == 500 and "its log says more" in seen.words
        assert "a test's" not in seen.text
