"""The stream of all changes of jobs' states."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from remote_protocol.api.queues import QueueCreate
from remote_protocol.states import JobState
from remote_server.store.history import note_forgotten
from remote_server.web.followers import TIMELINE
from tests.support.live_server import Live
from tests.support.stored import finish, submitted
from tests.support.stored import running as run_job

DEADLINE = 30.0
SSE = {"Accept": "text/event-stream"}


async def test_every_change_once_and_in_order(live: Live) -> None:
    store = live.services.store
    key = await run_job(store, now=time.time())
    await finish(store, key, now=time.time())
    entries = [json.loads(line) for line in (await live.get("/events")).text.splitlines()]
    last = entries.pop()
    assert last == {"event": "end", "after": entries[-1]["seq"]}
    assert [e["state"] for e in entries] == ["queued", "assigned", "running", "succeeded"]
    assert {e["job"] for e in entries} == {key.job}
    numbers = [e["seq"] for e in entries]
    assert numbers == sorted(set(numbers))
    rest = (await live.get(f"/events?after={numbers[1]}")).text.splitlines()
    assert [json.loads(line)["seq"] for line in rest[:-1]] == numbers[2:]
    (none,) = (await live.get("/events?after=-1")).text.splitlines()
    assert json.loads(none)["event"] == "end"


async def test_sse_follows_and_resumes(live: Live) -> None:
    store = live.services.store
    await submitted(store, time.time())
    async with live.open("GET", "/events?after=-1", headers=SSE) as response:
        async with asyncio.timeout(DEADLINE):
            assert await response.content.readuntil(b"\n\n") == b": events\n\n"
            job = await submitted(store, time.time())
            event = (await response.content.readuntil(b"\n\n")).decode()
    number, data = (line.split(": ", 1)[1] for line in event.strip().split("\n"))
    assert json.loads(data)["job"] == job
    again = {**SSE, "Last-Event-ID": str(int(number) - 1)}
    resumed = await live.get("/events?follow=false", headers=again)
    ending = f'event: end\ndata: {{"after":{number}}}\n\n'
    assert resumed.text.removeprefix(": events\n\n") == event + ending


async def test_ndjson_follows_when_asked(live: Live) -> None:
    store = live.services.store
    jobs = []
    async with live.open("GET", "/events?follow=true") as response:
        async with asyncio.timeout(DEADLINE):
            for _ in range(3):
                jobs.append(await submitted(store, time.time()))
                line = await response.content.readline()
                assert json.loads(line)["job"] == jobs[-1]


async def test_a_follower_of_a_flood_has_all_of_it_once_and_in_order(live: Live) -> None:
    store = live.services.store
    reads: list[int] = []
    page = store.events_page

    async def events_page(after: int, *rest: Any) -> Any:
        reads.append(after)
        return await page(after, *rest)

    store.events_page = events_page
    async with live.open("GET", "/events?follow=true") as response:
        jobs = [await submitted(store, time.time()) for _ in range(500)]
        async with asyncio.timeout(DEADLINE):
            lines = [json.loads(await response.content.readline()) for _ in jobs]
    assert [line["job"] for line in lines] == jobs
    assert len(reads) < 250, "many share a look"


async def test_more_than_a_page(live: Live) -> None:
    await live.post("/jobs/batch", {"jobs": [{"command": ["true"]}] * 450})
    lines = (await live.get("/events")).text.splitlines()
    assert len({json.loads(line)["seq"] for line in lines[:-1]}) == 450


async def test_a_reader_is_told_of_events_that_are_kept_no_longer(live: Live) -> None:
    store = live.services.store
    old = await run_job(store, now=time.time())
    await finish(store, old, now=time.time())
    gone = await store.last_seq()
    kept = await submitted(store, time.time())
    await store.forget_jobs([old.job])
    lines = [json.loads(line) for line in (await live.get("/events?after=1")).text.splitlines()]
    assert lines[0]["event"] == "gap" and lines[0]["after"] == 1
    assert (lines[0]["next"], [line.get("job") for line in lines[1:]]) == (gone, [kept, None])
    again = await live.get(f"/events?after={lines[0]['next']}")
    assert [json.loads(line).get("event") for line in again.text.splitlines()] == [None, "end"]
    # Who begins with what is kept, or now, misses nothing.
    for query in ("", "?after=0", "?after=-1"):
        assert '"gap"' not in (await live.get(f"/events{query}")).text
    seen = (await live.get("/events?after=1&follow=false", headers=SSE)).text
    assert f'event: gap\ndata: {{"after":1,"next":{gone}}}\n\n' in seen


async def test_a_reader_from_the_future_of_a_restored_database_is_told(live: Live) -> None:
    await submitted(live.services.store, time.time())
    last = await live.services.store.last_seq()
    (gap, end) = (await live.get("/events?after=4000")).text.splitlines()
    assert json.loads(gap) == {"event": "gap", "after": 4000, "next": last}
    assert json.loads(end) == {"event": "end", "after": last}


async def test_a_reader_who_is_overtaken_by_retention_is_told(live: Live) -> None:
    store = live.services.store
    jobs = [await submitted(store, time.time()) for _ in range(3)]
    async with live.open("GET", "/events?follow=true") as response:
        async with asyncio.timeout(DEADLINE):
            for job in jobs:
                assert json.loads(await response.content.readline())["job"] == job
            last = await store.last_seq()

            def advance(tx: Any) -> None:
                note_forgotten(tx, last + 100)
                tx.note(jobs[0], 1.0, "queued", state=JobState.QUEUED)

            await store._database.write(advance)
            live.services.followers.notify([TIMELINE])
            said = json.loads(await response.content.readline())
            assert said == {"event": "gap", "after": last, "next": last + 100}


async def test_faults(live: Live) -> None:
    (await live.get("/events?after=-2")).problem(422, "validation")
    (await live.get(f"/events?after={1 << 63}")).problem(422, "validation")
    (await live.get("/events?after=x")).problem(422, "validation")


async def test_events_of_some_queues_and_to_some_states(live: Live) -> None:
    store = live.services.store
    await store.create_queue(QueueCreate(name="q"), time.time())
    await submitted(store, time.time())
    key = await run_job(store, now=time.time(), queue="q", idempotency_key="k-1")
    await finish(store, key, 3, now=time.time())
    answer = (await live.get("/events?queue=q&state=running&state=failed")).text
    begun, ended, end = [json.loads(line) for line in answer.splitlines()]
    assert [begun["state"], ended["state"]] == ["running", "failed"]
    assert (ended["queue"], ended["exit_code"], ended["end_reason"]) == ("q", 3, "exit")
    assert ended["idempotency_key"] == "k-1" and begun["end_reason"] is None
    assert end == {"event": "end", "after": await store.last_seq()}
    (only,) = (await live.get("/events?queue=none")).text.splitlines()
    assert json.loads(only)["event"] == "end"
    (await live.get("/events?state=odd")).problem(422, "validation")
