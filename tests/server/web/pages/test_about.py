"""About, and the way to anything by its name."""

from __future__ import annotations

import remote_server
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_about_tells_versions_and_the_role(live: Live) -> None:
    async with visitor(live, "operator") as browser:
        page = await browser.get("/about")
        assert f"remote-server {remote_server.__version__}" in page.words
        assert "operator" in page.words


async def test_go_finds_agents_queues_and_jobs(live: Live) -> None:
    await live.register("ber-1")
    job = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    async with visitor(live, "viewer") as browser:
        for wanted, path in (
            ("ber-1", "./agents/ber-1"),
            (" default ", "./queues/default"),
            (job.lower(), f"./jobs/{job}"),
            ("nightly x", "./jobs?name=nightly%20x"),
            ("", "./jobs"),
        ):
            seen = await browser.get(f"/go?to={wanted.replace(' ', '%20')}")
            assert seen.location == path
