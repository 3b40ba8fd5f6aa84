"""The overview."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from remote_server.queries.attention import Notice
from remote_server.queries.fleet import Tally
from remote_server.queries.history import Minute
from remote_server.queries.overview import Overview
from remote_server.web.pages.overview import chart_of
from tests.support.live_server import Live
from tests.support.visitor import Seen, Visitor, visitor


async def until(browser: Visitor, text: str) -> Seen:
    """The overview as soon as it says this: it is kept for a moment."""
    async with asyncio.timeout(20):
        while True:
            page = await browser.get("/")
            if text in page.text or text in page.words:
                return page
            await asyncio.sleep(0.05)


async def test_without_agents_it_shows_three_steps(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/")
        assert "<title>Overview" in page.text and "Three steps to the first job" in page.words
        assert f"--server {live.url} --token-file token --name berlin-1" in page.words
        await live.register("ber-1")
        page = await until(browser, 'data-agent="ber-1"')
        assert "Three steps" not in page.words and "No job yet" in page.words


async def test_it_shows_figures_agents_queues_and_what_needs_attention(live: Live) -> None:
    await live.register("off")
    await live.post("/queues", {"name": "lyon"})
    await live.post("/jobs", {"command": ["true"], "queue": "lyon"})
    await live.post("/tokens", {"name": "ci", "expires": "90d"})
    async with live.connect(await live.register("ber-1")), visitor(live, "viewer") as browser:
        page = await until(browser, 'data-agent="ber-1" data-state="online"')
        assert 'data-queue="default" data-state="healthy"' in page.text
        assert 'data-agent="off" data-state="offline"' in page.text
        assert "1 of 2 online" in page.words and "0 of 4 busy" in page.words
        assert "No agent serves lyon." in page.words and "off is offline:" in page.words
        assert "1 of them cannot start as things are" in page.words
        assert "when the server started" in page.words
        assert 'href="./agents/off"' in page.text


async def test_what_only_admins_can_do_something_about_only_they_see(live: Live) -> None:
    await live.register("a")
    overview = await live.services.overview.read()
    assert all(not notice.for_admins for notice in overview.notices)
    secret = Notice(
        "note", "tokens", "API token ci expires soon.", "", "tokens", "Tokens", 1.0, True
    )
    object.__setattr__(overview, "notices", [secret])
    live.services.overview._memo._until = float("inf")
    for role, seen in (("viewer", False), ("operator", False), ("admin", True)):
        async with visitor(live, role) as browser:
            assert ("API token ci" in (await browser.get("/")).words) is seen


def overview(minutes: Sequence[Minute], waiting: int, up: float) -> Overview:
    return Overview(
        at=36_000.0,
        agents=Tally(1, 1, 0, 0, 0),
        busy=0,
        places=1,
        held=0,
        waiting=waiting,
        waiting_queues=1,
        stuck=0,
        ended=0,
        failed=0,
        since=36_000.0 - up,
        minutes=minutes,
        notices=[],
        queues=[],
        queue_count=1,
        cells=[],
        longest=[],
        failures=[],
        jobs=0,
    )


def test_charts_tell_what_was_counted_and_since_when() -> None:
    minutes = [Minute()] * 357 + [Minute(1, 0, 4), Minute(4, 2, -1), Minute(2, 0, 2)]
    chart = chart_of(overview(minutes, waiting=5, up=130))
    assert (chart.now, chart.hours, chart.counted) == ((2, 0, 5), "hour", 35_870.0)
    assert [round(bar.height) for bar in chart.ended.bars] == [18, 72, 36]
    assert len(chart.failed.bars) == 1
    # 4 waited at the end of the third minute from the end, 3 after the next, and 5 do now.
    assert [point.split(",")[1] for point in chart.waiting.points.split()] == [
        "16.0",
        "30.0",
        "2.0",
    ]
    assert chart.waiting.begins == "96.61"
    long = chart_of(overview(minutes, waiting=5, up=9 * 3600))
    assert (long.hours, long.counted, len(long.waiting.points.split())) == ("6 hours", None, 360)
    assert long.now[0] == 7 / 5
