"""Streams of what is numbered, over real connections."""

from __future__ import annotations

import asyncio
import json

import pytest

from remote_server.web.actions.stream import AT_ONCE, PAUSE, Slice, Spacing, _after_gap, _text
from remote_server.web.http.frames import NDJSON, SSE
from tests.support.live_server import Live


@pytest.mark.parametrize(
    ("after", "found", "kept_from", "following"),
    [
        (5, Slice([], 5, 0, 9), 0, None),
        (5, Slice([], 5, 7, 9), 0, 7),  # some after 5 are kept no longer
        (0, Slice([], 0, 7, 9), 7, None),  # it begins with the first that is kept
        (12, Slice([], 12, 7, 9), 0, 9),  # an older copy of the database is in use
        (12, Slice([], 12), 0, None),
    ],
)
def test_a_gap_is_what_a_reader_misses(
    after: int, found: Slice, kept_from: int, following: int | None
) -> None:
    assert _after_gap(after, found, kept_from) == following


def test_records_are_lines_or_events() -> None:
    records = [(1, '{"a":1}'), (2, '{"b":2}')]
    assert _text(records, NDJSON) == '{"a":1}\n{"b":2}\n'
    assert _text(records, SSE).split("\n\n") == ['id: 1\ndata: {"a":1}', 'id: 2\ndata: {"b":2}', ""]


def test_a_flood_is_looked_at_some_times_a_second() -> None:
    spacing, now = Spacing(), 1000.0
    rests = []
    for _ in range(100):
        rests.append(spacing.rest(now))
        now += max(0.0, rests[-1])
    assert max(rests[: AT_ONCE - 1]) <= 0, "the first few are told at once"
    assert rests[AT_ONCE + 1 :] == pytest.approx([PAUSE] * (99 - AT_ONCE))


def test_what_happens_now_and_then_is_told_at_once() -> None:
    spacing = Spacing()
    assert all(spacing.rest(second * 2 * PAUSE) <= 0 for second in range(1000, 1100))


@pytest.mark.parametrize(("path", "name"), [("/events", "events"), ("/audit/stream", "audit")])
async def test_a_browser_sees_at_once_that_it_is_open(live: Live, path: str, name: str) -> None:
    async with asyncio.timeout(60):
        async with live.open(
            "GET", f"{path}?after=-1", headers={"Accept": "text/event-stream"}
        ) as answer:
            assert await answer.content.readline() == f": {name}\n".encode()


async def test_it_resumes_after_the_last_one_that_a_browser_saw(live: Live) -> None:
    for name in ("one", "two"):
        await live.post("/queues", {"name": name})
    first = (await live.get("/audit?action=queue.")).body["items"][-1]["number"]
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(first)}
    async with asyncio.timeout(60):
        path = "/audit/stream?action=queue.&follow=false&after=0"
        async with live.open("GET", path, headers=headers) as answer:
            said = (await answer.content.read()).decode().split("\n\n")
    assert said[0] == ": audit"
    assert json.loads(said[1].partition("data: ")[2])["subject"] == "two"
    assert said[2].startswith("event: end")
