"""A job's log over HTTP: replay, tail, resume, every form, no seam."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason
from remote_server.domain.changes import Lost, Returned, Withdrawn
from tests.support.live_server import Live
from tests.support.stored import finish, offered, started, submitted
from tests.support.stored import running as run_job

STAMP = b"2026-11-21T03:04:05.123456789Z"
DEADLINE = 30.0
NDJSON = {"Accept": "application/x-ndjson"}
SSE = {"Accept": "text/event-stream"}
CRI = {"Accept": "application/vnd.cri-log"}


def write(live: Live, key: AttemptId, data: bytes, stream: bytes = cri.STDOUT) -> None:
    """As if the agent had sent it."""
    live.services.logs.append(key, b"".join(cri.encode(data, STAMP, stream)))


async def begun(live: Live, **fields: Any) -> AttemptId:
    return await run_job(live.services.store, now=time.time(), **fields)


async def begun_twice(live: Live) -> tuple[AttemptId, AttemptId]:
    """Two attempts of one job, of which the first was lost: each with a line in its log."""
    store = live.services.store
    first = await begun(live, max_attempts=2, retry_backoff=0)
    write(live, first, b"first\n")
    await store.record("a", Lost(first, "gone"), time.time())
    async with asyncio.timeout(DEADLINE):
        while not (leases := await store.assign([(first.job, "b")], time.time())):
            await store.release_due(time.time() + 1)
    second = await started(store, leases[0], time.time())
    write(live, second, b"second\n")
    return first, second


async def end(live: Live, key: AttemptId) -> None:
    size = live.services.logs.length(key)
    await finish(live.services.store, key, now=time.time(), size=size)


def log_path(key: AttemptId, query: str = "") -> str:
    return f"/jobs/{key.job}/log?{query}"


@pytest.fixture
async def key(live: Live) -> AttemptId:
    """A running attempt with a little log."""
    found = await begun(live)
    write(live, found, b"one\ntwo\n")
    write(live, found, b"oops\n", cri.STDERR)
    write(live, found, b"three")
    return found


async def test_plain_text_is_the_jobs_own_bytes(live: Live, key: AttemptId) -> None:
    answer = await live.get(log_path(key))
    assert answer.status == 200
    assert answer.text == "one\ntwo\noops\nthree"
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Remote-Attempt"] == "1"
    assert (await live.get(log_path(key, "stream=stderr"))).text == "oops\n"
    assert (await live.get(log_path(key, "stream=stdout"))).text == "one\ntwo\nthree"
    assert (await live.get(log_path(key, "offset=5"))).text == "wo\noops\nthree"
    assert (await live.get(log_path(key, "stream=stdout&offset=999"))).text == ""


async def test_records_with_time_and_stream(live: Live, key: AttemptId) -> None:
    *lines, last = (await live.get(log_path(key), headers=NDJSON)).text.splitlines()
    assert json.loads(last) == {
        "event": "end",
        "attempt": 1,
        "state": "running",
        "offset": live.services.logs.length(key),
        "over": False,
    }
    records = [json.loads(line) for line in lines]
    assert [(r["stream"], r["text"]) for r in records] == [
        ("stdout", "one\n"),
        ("stdout", "two\n"),
        ("stderr", "oops\n"),
        ("stdout", "three"),
    ]
    assert {r["time"] for r in records} == {STAMP.decode()}
    resumed = await live.get(log_path(key, f"offset={records[1]['offset']}"), headers=NDJSON)
    assert resumed.text.splitlines() == [*lines[2:], last]
    inside = await live.get(log_path(key, f"offset={records[1]['offset'] - 3}"), headers=NDJSON)
    assert inside.text.splitlines() == [*lines[2:], last]


async def test_bytes_that_are_no_text_come_as_base64(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"\xff\x00\n")
    record = json.loads((await live.get(log_path(key), headers=NDJSON)).text.split("\n")[0])
    assert "text" not in record
    assert record["data_base64"] == "/wAK"


async def test_the_stored_bytes_from_any_position(live: Live, key: AttemptId) -> None:
    stored = await live.services.logs.read(key, 0, 10_000)
    async with live.open("GET", log_path(key), headers=CRI) as response:
        assert response.headers["Content-Type"] == "application/vnd.cri-log"
        assert await response.read() == stored
    async with live.open("GET", log_path(key, "offset=17"), headers=CRI) as response:
        assert await response.read() == stored[17:]
    (await live.get(log_path(key, "stream=stdout"), headers=CRI)).problem(422, "validation")


async def test_a_cut_record_is_shown_when_it_is_whole(live: Live) -> None:
    key = await begun(live)
    whole = b"".join(cri.encode(b"hello\n", STAMP, cri.STDOUT))
    live.services.logs.append(key, whole[:20])
    assert (await live.get(log_path(key))).text == ""
    live.services.logs.append(key, whole[20:])
    assert (await live.get(log_path(key))).text == "hello\n"


async def test_a_line_longer_than_a_piece(live: Live) -> None:
    key = await begun(live)
    line = b"x" * 1_000_000 + b"\n"
    write(live, key, line + b"after\n")
    assert (await live.get(log_path(key))).text == (line + b"after\n").decode()
    texts = [
        json.loads(r)["text"]
        for r in (await live.get(log_path(key), headers=NDJSON)).text.split("\n")[:-2]
    ]
    assert texts == [line.decode(), "after\n"]


async def lines_of(response: Any) -> AsyncIterator[str]:
    async for line in response.content:
        yield line.decode()


async def test_following_replays_tails_and_ends_with_the_attempt(
    live: Live, key: AttemptId
) -> None:
    async with live.open("GET", log_path(key, "follow=true")) as response:
        async with asyncio.timeout(DEADLINE):
            assert await response.content.readexactly(18) == b"one\ntwo\noops\nthree"
            write(live, key, b" more\n")
            assert await response.content.readexactly(6) == b" more\n"
            write(live, key, b"last")
            await end(live, key)
            assert await response.content.read() == b"last"


async def test_no_seam_between_replay_and_tail(live: Live) -> None:
    """Many viewers, each starting at another moment, while the log is written."""
    key = await begun(live)
    blocks = [os.urandom(5000).hex().encode() + b"\n" for _ in range(60)]
    whole = b"".join(blocks)

    async def view(delay: int) -> bytes:
        for _ in range(delay):
            await asyncio.sleep(0)
        async with live.open("GET", log_path(key, "follow=true")) as response:
            data: bytes = await response.read()
            return data

    viewers = [asyncio.create_task(view(delay * 3)) for delay in range(8)]
    for block in blocks:
        write(live, key, block)
        await asyncio.sleep(0)
    await end(live, key)
    async with asyncio.timeout(DEADLINE):
        assert [data == whole for data in await asyncio.gather(*viewers)] == [True] * 8


async def test_sse_resumes_by_last_event_id_and_says_the_end(live: Live, key: AttemptId) -> None:
    await end(live, key)
    shown = (await live.get(log_path(key, "follow=true"), headers=SSE)).text
    events = [dict(line.split(": ", 1) for line in e.split("\n")) for e in shown.split("\n\n")[:-1]]
    assert [json.loads(e["data"])["text"] for e in events[:-1]] == [
        "one\n",
        "two\n",
        "oops\n",
        "three",
    ]
    assert events[-1]["event"] == "end"
    size = live.services.logs.length(key)
    assert json.loads(events[-1]["data"]) == {
        "attempt": 1,
        "state": "succeeded",
        "offset": size,
        "over": True,
        "size": size,
        "checksum": 7,
    }
    unfollowed = (await live.get(log_path(key), headers=SSE)).text
    assert unfollowed == shown
    resumed = await live.get(
        log_path(key, "follow=true"), headers={**SSE, "Last-Event-ID": events[1]["id"]}
    )
    assert resumed.text == shown.split("\n\n", 2)[2]
    (await live.get(log_path(key), headers={**SSE, "Last-Event-ID": "x"})).problem(
        400, "bad_request"
    )


async def test_following_a_waiting_job_waits_for_its_attempt(live: Live) -> None:
    store = live.services.store
    job = await submitted(store, time.time())
    assert (await live.get(f"/jobs/{job}/log")).text == ""

    async def follow() -> str:
        return (await live.get(f"/jobs/{job}/log?follow=true")).text

    viewer = asyncio.create_task(follow())
    async with asyncio.timeout(DEADLINE):
        while not live.services.followers._followers:
            await asyncio.sleep(0.005)
        (lease,) = await store.assign([(job, "a")], time.time())
        key = await started(store, lease, time.time())
        write(live, key, b"hi\n")
        await end(live, key)
        assert await viewer == "hi\n"


async def test_following_a_job_that_never_starts_ends_with_it(live: Live) -> None:
    job = await submitted(live.services.store, time.time())

    async def follow() -> str:
        return (await live.get(f"/jobs/{job}/log?follow=true")).text

    viewer = asyncio.create_task(follow())
    async with asyncio.timeout(DEADLINE):
        while not live.services.followers._followers:
            await asyncio.sleep(0.005)
        await live.post(f"/jobs/{job}/cancel")
        assert await viewer == ""
        assert (await live.get(f"/jobs/{job}/log?follow=true")).text == ""


async def test_an_offer_handed_back_is_not_the_end_of_the_attempt(live: Live) -> None:
    store = live.services.store
    lease = await offered(store, now=time.time())

    async def follow() -> str:
        return (await live.get(log_path(lease.key, "follow=true"))).text

    viewer = asyncio.create_task(follow())
    async with asyncio.timeout(DEADLINE):
        while not live.services.logs._followers:
            await asyncio.sleep(0.005)
        await store.record("a", Withdrawn(lease.key, "full"), time.time())
        (again,) = await store.assign([(lease.key.job, "b")], time.time())
        assert again.key == lease.key
        await started(store, again, time.time())
        write(live, again.key, b"from b\n")
        size = live.services.logs.length(again.key)
        await finish(store, again.key, agent="b", now=time.time(), size=size)
        assert await viewer == "from b\n"


async def test_who_reads_what_was_never_packed_depends_on_no_archive(live: Live) -> None:
    """Of jobs that have printed nothing, while they run and afterwards."""
    archive = live.server.data.archive
    archive.rename(archive.with_name("away"))
    key = await begun(live)
    for query in ("", "tail=3", "since=1h"):
        for headers in ({}, CRI, NDJSON):
            answer = await live.get(log_path(key, query), headers=headers)
            assert answer.status == 200, answer.text
    viewer = asyncio.create_task(live.get(log_path(key, "follow=true")))
    async with asyncio.timeout(DEADLINE):
        while not live.services.logs._followers:
            await asyncio.sleep(0.005)
    await finish(live.services.store, key, now=time.time(), size=0)
    assert ((await viewer).status, (await viewer).text) == (200, "")
    assert (await live.get(log_path(key))).status == 200


async def test_a_packed_log_is_shown_in_every_form_and_its_archive_missed(live: Live) -> None:
    key, logs = await begun(live), live.services.logs
    lines = b"".join(b"%d\n" % number for number in range(100_000))
    write(live, key, lines)
    whole = await logs.read(key, 0, logs.length(key))
    await end(live, key)

    async def shown() -> list[str]:
        forms: list[tuple[dict[str, str], str]]
        forms = [({}, ""), (CRI, ""), (CRI, "offset=300000"), (NDJSON, "tail=3")]
        queries = [(form, f"{more}&{how}") for form, more in forms for how in ("", "follow=true")]
        return [(await live.get(log_path(key, q), headers=form)).text for form, q in queries]

    plain = await shown()
    assert plain[:2] == [lines.decode()] * 2
    assert plain[2:4] == [whole.decode()] * 2
    await logs.pack(key)
    assert not logs.at_hand(key)
    assert await shown() == plain
    archive = live.server.data.archive
    archive.rename(archive.with_name("away"))
    logs.archived.forget(key)
    problem = (await live.get(log_path(key))).problem(503, "store_unavailable")
    assert "mount it" in problem["detail"]


async def test_each_attempt_has_its_own_log(live: Live) -> None:
    first, second = await begun_twice(live)
    assert (await live.get(log_path(first))).text == "second\n"
    assert (await live.get(log_path(first, "attempt=1"))).text == "first\n"
    assert (await live.get(log_path(first, "attempt=1&follow=true"))).text == "first\n"
    (await live.get(log_path(first, "attempt=3"))).problem(404, "not_found")
    store = live.services.store
    await finish(store, second, 1, EndReason.EXIT, agent="b", now=time.time(), size=0)
    assert (await live.get(log_path(first, "follow=true"))).text == "second\n"


async def test_a_replacement_that_was_given_up_keeps_its_log(live: Live) -> None:
    store = live.services.store
    policy = {"on_return": "keep_first"}
    first = await begun(live, max_attempts=2, retry_backoff=0, on_disconnect=policy)
    await store.record("a", Lost(first, "gone"), time.time())
    await store.release_due(time.time())
    (lease,) = await store.assign([(first.job, "b")], time.time())
    second = await started(store, lease, time.time())
    write(live, second, b"second\n")
    await store.record("a", Returned(first), time.time())
    write(live, first, b"first\n")
    assert (await live.get(log_path(first))).text == "first\n"
    assert (await live.get(log_path(first, "attempt=2"))).text == "second\n"
    assert (await live.get(log_path(first, "attempt=2&follow=true"))).text == "second\n"
    (await live.get(log_path(first, "attempt=3"))).problem(404, "not_found")


async def test_what_cannot_be_given(live: Live, key: AttemptId) -> None:
    (await live.get("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/log")).problem(404, "not_found")
    (await live.get(log_path(key), headers={"Accept": "image/png"})).problem(400, "bad_request")
    wrong = await live.get(log_path(key, "stream=stdin&offset=-1&attempt=0&colour=1"))
    faults = wrong.problem(422, "validation")["errors"]
    assert {f["field"] for f in faults} == {"stream", "offset", "attempt", "colour"}


async def test_a_slow_viewer_slows_only_itself(live: Live) -> None:
    """What it has not read is not kept in the server's memory."""
    key = await begun(live)
    line = b"y" * 1023 + b"\n"
    for _ in range(40):
        write(live, key, line * 1024)
    await end(live, key)
    async with live.open("GET", log_path(key)) as slow:
        assert await slow.content.readexactly(1024) == line
        async with asyncio.timeout(DEADLINE):
            assert (await live.get("/queues")).status == 200
            transport = max(
                t.get_write_buffer_size()
                for t in (c.transport for c in live.server._runner.server.connections)  # type: ignore[union-attr]
                if t is not None
            )
            assert transport < 2 * 1024 * 1024
            rest = 0
            async for piece in slow.content.iter_any():
                rest += len(piece)
    assert rest == 40 * 1024 * 1024 - 1024


async def test_a_stopping_server_breaks_followers_off(live: Live, key: AttemptId) -> None:
    """A clean end would look like the end of the job: the client must come back and resume."""
    from aiohttp import ClientPayloadError

    async with live.open("GET", log_path(key, "follow=true")) as response:
        assert await response.content.readexactly(4) == b"one\n"
        live.services.followers.close()
        with pytest.raises(ClientPayloadError):
            async with asyncio.timeout(DEADLINE):
                await response.read()


async def test_a_head_says_how_much_there_is_and_whether_that_is_all(
    live: Live, key: AttemptId
) -> None:
    whole = (await live.get(log_path(key), headers=CRI)).text
    for offset in (0, 40, len(whole), 1 << 40):
        head = (await live.get(log_path(key, f"offset={offset}"), headers=CRI)).headers
        assert head["Remote-Log-Size"] == str(len(whole))
        assert head["Remote-Log-Over"] == "false"
    await end(live, key)
    head = (await live.get(log_path(key), headers=CRI)).headers
    assert (head["Remote-Log-Size"], head["Remote-Log-Over"]) == (str(len(whole)), "true")


async def at(
    live: Live, key: AttemptId, second: int, data: bytes, stream: bytes = cri.STDOUT
) -> None:
    stamp = b"2026-11-21T03:04:%02d.000000000Z" % second
    live.services.logs.append(key, b"".join(cri.encode(data, stamp, stream)))


@pytest.fixture
async def lines(live: Live) -> AttemptId:
    """Six lines over ten seconds, one in two pieces with another stream between, one open."""
    found = await begun(live)
    await at(live, found, 0, b"one\ntwo\n")
    await at(live, found, 2, b"bad 1\n", cri.STDERR)
    await at(live, found, 4, b"thr")
    await at(live, found, 5, b"bad 2\n", cri.STDERR)
    await at(live, found, 6, b"ee\n")
    await at(live, found, 9, b"open")
    return found


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("tail=0", ""),
        ("tail=1", "open"),
        ("tail=2", "three\nopen"),
        ("tail=3", "thrbad 2\nee\nopen"),
        ("tail=4", "bad 1\nthrbad 2\nee\nopen"),
        ("tail=99", "one\ntwo\nbad 1\nthrbad 2\nee\nopen"),
        ("tail=2&stream=stderr", "bad 1\nbad 2\n"),
        ("tail=1&stream=stderr", "bad 2\n"),
        ("tail=2&stream=stdout", "three\nopen"),
        ("since=2026-11-21T03:04:05Z", "bad 2\nee\nopen"),
        ("since=2026-11-21T03:04:05.5Z&stream=stdout", "ee\nopen"),
        ("since=2026-11-21T03:04:05Z&tail=1", "open"),
        ("since=2026-11-21T03:04:06Z&tail=99", "ee\nopen"),
        ("since=2030-01-01T00:00:00Z", ""),
        ("since=1970-01-01T00:00:00Z&tail=1", "open"),
    ],
)
async def test_the_last_lines_and_what_came_since(
    live: Live, lines: AttemptId, query: str, shown: str
) -> None:
    async def forms(more: str) -> list[str]:
        plain = await live.get(log_path(lines, query + more))
        assert plain.status == 200, plain.text
        found = [plain.text]
        for media in (NDJSON, SSE):
            text = (await live.get(log_path(lines, query + more), headers=media)).text
            data = [line.removeprefix("data: ") for line in text.split("\n")]
            records = [json.loads(line) for line in data if line.startswith("{")]
            found.append("".join(record.get("text", "") for record in records))
        if "stream" not in query:
            stored = (await live.get(log_path(lines, query + more), headers=CRI)).text
            found.append(cri.decode(stored.encode()).decode())
        return found

    assert set(await forms("")) == {shown}
    await end(live, lines)
    assert set(await forms("&follow=true")) == {shown}


async def test_the_last_lines_and_what_comes(live: Live, lines: AttemptId) -> None:
    async with live.open("GET", log_path(lines, "tail=1&follow=true")) as response:
        async with asyncio.timeout(DEADLINE):
            assert await response.content.readexactly(4) == b"open"
            await at(live, lines, 10, b" end\n")
            await at(live, lines, 11, b"bad 3\n", cri.STDERR)
            await end(live, lines)
            assert await response.content.read() == b" end\nbad 3\n"


async def test_where_to_start_is_said_once(live: Live, lines: AttemptId) -> None:
    for query in ("tail=1&offset=5", "since=1m&offset=5"):
        problem = (await live.get(log_path(lines, query))).problem(422, "validation")
        assert "give an offset, or tail and since" in problem["detail"]
    for query in ("tail=-1", "tail=100001", "since=soon", "tail=x"):
        (await live.get(log_path(lines, query))).problem(422, "validation")


async def test_resuming_goes_before_the_last_lines(live: Live, lines: AttemptId) -> None:
    first = (await live.get(log_path(lines, "tail=3"), headers=SSE)).text
    number = first.split("id: ")[1].split("\n")[0]
    again = await live.get(log_path(lines, "tail=3"), headers={**SSE, "Last-Event-ID": number})
    assert again.text == first.split("\n\n", 1)[1]


async def test_a_plain_answer_has_a_length(live: Live, key: AttemptId) -> None:
    """So that a cut shows beyond a hop that speaks HTTP/1.0."""
    for media, size in (({}, 18), (CRI, live.services.logs.length(key))):
        async with live.open("GET", log_path(key), headers=media) as response:
            assert response.content_length == size
            assert len(await response.read()) == size
    big = await begun(live)
    write(live, big, b"z" * 1023 + b"\n" * 2000)
    write(live, big, b"q" * 2_000_000)
    for query, size in (("", 2_003_023), ("tail=1", 2_000_000), ("offset=23", 2_003_000)):
        async with live.open("GET", log_path(big, query)) as response:
            assert response.content_length == size
            assert len(await response.read()) == size


async def test_silent_streams_are_kept_alive(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from remote_server.web.api import logs as module

    monkeypatch.setattr(module, "KEEP_ALIVE", 0.05)
    job = await submitted(live.services.store, time.time())
    for media, beat in ((NDJSON, b"\n"), (SSE, b": keep-alive\n")):
        async with live.open("GET", f"/jobs/{job}/log?follow=true", headers=media) as response:
            async with asyncio.timeout(DEADLINE):
                assert await response.content.readline() == beat
    (lease,) = await live.services.store.assign([(job, "a")], time.time())
    key = await started(live.services.store, lease, time.time())
    async with live.open("GET", log_path(key, "follow=true"), headers=NDJSON) as response:
        async with asyncio.timeout(DEADLINE):
            assert await response.content.readline() == b"\n"
            write(live, key, b"hi\n")
            while (line := await response.content.readline()) == b"\n":
                pass
            assert json.loads(line)["text"] == "hi\n"


async def test_whoever_waited_for_an_attempt_is_told_its_number(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = live.services.store
    job = await submitted(store, time.time())
    async with live.open("GET", f"/jobs/{job}/log?follow=true", headers=NDJSON) as response:
        assert "Remote-Attempt" not in response.headers
        (lease,) = await store.assign([(job, "a")], time.time())
        key = await started(store, lease, time.time())
        write(live, key, b"hi\n")
        await end(live, key)
        async with asyncio.timeout(DEADLINE):
            lines = [json.loads(line) for line in (await response.text()).splitlines() if line]
    assert lines[0] == {"event": "attempt", "attempt": 1}
    assert lines[1]["text"] == "hi\n"
    assert (lines[2]["event"], lines[2]["over"]) == ("end", True)
