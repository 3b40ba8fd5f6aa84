"""The overview."""

from __future__ import annotations

from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_it_shows_queues_and_agents(live: Live) -> None:
    async with live.connect(await live.register("ber-1")), visitor(live, "viewer") as browser:
        page = await browser.get("/")
        assert "<title>Overview" in page.text
        assert 'data-queue="default"' in page.text and 'data-agent="ber-1"' in page.text
