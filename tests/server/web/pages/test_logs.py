"""The log of an attempt on pages: alone, by lines, raw, searched."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from types import SimpleNamespace
from typing import Any

import pytest

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.web.actions.log_lines import COUNTING
from tests.server.web.api.test_logs import begun, begun_twice, end, write
from tests.support.live_server import Live
from tests.support.stored import submitted
from tests.support.visitor import Visitor, visitor

DEADLINE = 30.0


@pytest.fixture
async def key(live: Live) -> AttemptId:
    """A running attempt with a little log."""
    found = await begun(live)
    write(live, found, b"one\ntwo\n")
    write(live, found, b"oops\n", cri.STDERR)
    write(live, found, b"three")
    return found


async def ask(browser: Visitor, key: AttemptId, what: str) -> Any:
    seen = await browser.get(f"/jobs/{key.job}/log/{what}")
    assert seen.status == 200, seen.words
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.headers["Cache-Control"] == "no-store"
    return json.loads(seen.text)


async def settled(browser: Visitor, key: AttemptId, what: str) -> str:
    """The answer once all lines are counted: until then it says that they are not."""
    async with asyncio.timeout(DEADLINE):
        while (await ask(browser, key, "lines?last=true"))["counted"] < await size(browser, key):
            pass
        while True:
            text = (await browser.get(f"/jobs/{key.job}/log/{what}")).text
            if what.startswith("raw") or json.loads(text).get("done", True):
                return text


async def size(browser: Visitor, key: AttemptId) -> int:
    found = (await ask(browser, key, "lines?row=1&count=1"))["size"]
    assert isinstance(found, int)
    return found


def texts(answer: Any) -> list[tuple[int, str, str]]:
    return [(line["n"], line["s"], line["x"]) for line in answer["found"]]


async def test_lines_of_both_streams_and_of_one(live: Live, key: AttemptId) -> None:
    async with visitor(live, "viewer") as browser:
        answer = await ask(browser, key, "lines?row=1")
        every = [(1, "stdout", "one"), (2, "stdout", "two"), (3, "stderr", "oops")]
        assert texts(answer) == [*every, (4, "stdout", "three")]
        assert answer["found"][3]["open"] and "open" not in answer["found"][2]
        assert (answer["rows"], answer["lines"], answer["over"]) == (4, 4, False)
        assert answer["size"] == answer["counted"] == live.services.logs.length(key)
        assert answer["whole"]["word"] == "not all here yet"
        assert texts(await ask(browser, key, "lines?row=2&count=2")) == every[1:]
        only = await ask(browser, key, "lines?row=1&stream=stderr")
        assert texts(only) == every[2:] and only["found"][0]["k"] == 1
        assert (only["rows"], only["lines"]) == (1, 4)
        assert texts(await ask(browser, key, "lines?number=2&stream=stderr")) == every[2:]
        last = await ask(browser, key, "lines?last=true&count=2")
        assert texts(last) == [every[2], (4, "stdout", "three")]
        write(live, key, b" and more\n")
        await end(live, key)
        answer = await ask(browser, key, "lines?number=4")
        assert texts(answer) == [(4, "stdout", "three and more")] and answer["over"]
        assert answer["whole"]["checksum"] == "00000007"
        assert answer["attempts"] == [[1, "succeeded"]]


async def test_every_byte_comes_by_lines_whatever_is_printed(live: Live) -> None:
    key = await begun(live)
    lines = [os.urandom(50).hex() for _ in range(3000)]
    for start in range(0, 3000, 100):
        write(live, key, "".join(f"{line}\n" for line in lines[start : start + 100]).encode())
    async with visitor(live, "viewer") as browser:
        found: list[str] = []
        while len(found) < 3000:
            answer = await ask(browser, key, f"lines?row={len(found) + 1}&count=500")
            found += [line["x"] for line in answer["found"]]
        assert found == lines


async def test_a_packed_log_is_the_same(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"".join(b"%d\n" % number for number in range(20_000)))
    await end(live, key)
    async with visitor(live, "viewer") as browser:
        paths = ("lines?number=15000&count=3", "find?words=19999", "raw?first=20000", "raw")
        before = [await settled(browser, key, path) for path in paths]
        assert "14999" in before[0] and '"hits":[[20000,20000]]' in before[1]
        assert before[2] == "19999\n"
        await live.services.logs.pack(key)
        assert not live.services.logs.at_hand(key)
        live.services.line_indexes._kept.clear()
        assert [await settled(browser, key, path) for path in paths] == before
        archive = live.server.data.archive
        archive.rename(archive.with_name("away"))
        live.services.logs.archived.forget(key)
        assert (await browser.get(f"/jobs/{key.job}/log/lines?row=1")).status == 503
        page = await browser.get(f"/jobs/{key.job}/log")
        assert page.status == 200 and "The log cannot be read now" in page.words


async def test_an_answer_says_while_lines_are_still_counted(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await begun(live)
    write(live, key, b"".join(b"%d\n" % number for number in range(60_000)))
    await end(live, key)
    # Whenever it looks at the clock it is later: each call counts one piece of the log.
    clock = itertools.count(0.0, COUNTING * 0.6)
    monkeypatch.setattr(
        "remote_server.web.logs.index.time", SimpleNamespace(monotonic=lambda: next(clock))
    )
    async with visitor(live, "viewer") as browser:
        said = []
        while not (answer := await ask(browser, key, "lines?number=59000&count=1"))["found"]:
            said.append((answer["counted"], answer["size"]))
        assert said and all(counted < size for counted, size in said)
        assert said == sorted(said), "each call goes on where the last one broke off"
        assert texts(answer) == [(59_000, "stdout", "58999")]
        found = await ask(browser, key, "find?words=59999")
        while not found["done"]:
            found = await ask(browser, key, f"find?words=59999&offset={found['at']}")
        assert found["hits"] == [[60_000, 60_000]]


async def test_raw_is_byte_for_byte_what_the_job_printed(live: Live) -> None:
    key = await begun(live)
    data = os.urandom(300_000)
    write(live, key, data)
    write(live, key, b"<script>\n", cri.STDERR)
    async with visitor(live, "viewer") as browser:
        where = f"{live.url}/jobs/{key.job}/log/raw"
        async with browser.session.get(where) as answer:
            assert await answer.read() == data + b"<script>\n"
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "Content-Disposition" not in answer.headers
        async with browser.session.get(where + "?stream=stderr&download=true") as answer:
            assert await answer.read() == b"<script>\n"
            name = f'attachment; filename="{key.job}.1.stderr.log"'
            assert answer.headers["Content-Disposition"] == name


async def test_some_lines_as_text(live: Live, key: AttemptId) -> None:
    write(live, key, b" goes on\nfour\nfive\n")
    async with visitor(live, "viewer") as browser:
        for query, wanted in (
            ("first=2&last=4", "two\noops\nthree goes on\n"),
            ("first=5", "four\nfive\n"),
            ("last=1", "one\n"),
            ("first=2&last=4&stream=stdout", "two\nthree goes on\n"),
            ("first=9&last=12", ""),
        ):
            seen = await browser.get(f"/jobs/{key.job}/log/raw?{query}")
            assert (seen.status, seen.text) == (200, wanted)


async def test_a_search_goes_on_where_it_stopped(live: Live) -> None:
    key = await begun(live)
    for number in range(40):
        write(live, key, b"".join(b"%d\n" % n for n in range(1000)) + b"Hit %d\n" % number)
    async with visitor(live, "viewer") as browser:
        found, at = [], 0
        async with asyncio.timeout(DEADLINE):
            while True:
                answer = await ask(browser, key, f"find?words=hit&offset={at}")
                found += [number for number, _ in answer["hits"]]
                at = answer["at"]
                if answer["done"]:
                    break
        assert found == [1001 * (number + 1) for number in range(40)]
        assert at == live.services.logs.length(key)


async def test_the_page_shows_its_end_without_a_script(live: Live) -> None:
    key = await begun(live, name="nightly")
    write(live, key, b"".join(b"line %d\n" % number for number in range(1000)))
    write(live, key, b"\x1b[31m<b>\x1b[0m\n10 %\r20 %\r")
    async with visitor(live, "viewer") as browser:
        page = await browser.get(f"/jobs/{key.job}/log")
        assert "<title>Log of nightly" in page.text
        assert "line 999" in page.words and "line 9 " not in page.words
        assert "<code>&lt;b&gt;</code>" in page.text and "<code>20 %</code>" in page.text
        assert "1,002 lines so far" in page.words
        assert f'href="../../jobs/{key.job}/log/raw?attempt=1"' in page.text
        assert 'data-attempt="1"' in page.text and "data-keep" in page.text
        assert len(page.text) < 100_000


async def test_before_the_first_attempt(live: Live) -> None:
    job = await submitted(live.services.store, time.time())
    async with visitor(live, "viewer") as browser:
        assert "No log yet" in (await browser.get(f"/jobs/{job}/log")).words
        for what in ("lines?row=1", "raw", "live", "find?words=x"):
            assert (await browser.get(f"/jobs/{job}/log/{what}")).status == 404


async def test_each_attempt_has_its_own_lines(live: Live) -> None:
    first, _ = await begun_twice(live)
    async with visitor(live, "viewer") as browser:
        answer = await ask(browser, first, "lines?row=1")
        assert texts(answer) == [(1, "stdout", "second")]
        assert answer["attempts"] == [[1, "lost"], [2, "running"]]
        answer = await ask(browser, first, "lines?row=1&attempt=1")
        assert texts(answer) == [(1, "stdout", "first")]
        assert answer["whole"]["word"] == "not known to be complete"
        assert 'href="?attempt=1"' in (await browser.get(f"/jobs/{first.job}/log")).text
        assert (await browser.get(f"/jobs/{first.job}/log?attempt=3")).status == 404


async def test_a_gap_is_shown_where_it_is(live: Live, key: AttemptId) -> None:
    logs = live.services.logs
    write(live, key, b"\n")
    logs.fill(key, logs.length(key) + 100_000, time.time())
    write(live, key, b"after\n")
    async with visitor(live, "viewer") as browser:
        answer = await ask(browser, key, "lines?row=1")
        assert texts(answer)[-1] == (6, "stdout", "after")
        assert "100000 bytes of this log were lost" in str(texts(answer))
        index = live.services.line_indexes.of(key, logs.length(key))
        assert index.gaps == [(5, 100_000)]


async def test_what_cannot_be_asked_for(live: Live, key: AttemptId) -> None:
    async with visitor(live, "viewer") as browser:
        for what in (
            "lines",
            "lines?row=1&number=2",
            "lines?row=0",
            "lines?row=1&count=501",
            "lines?row=1&stream=stdin",
            "find",
            "find?words=" + "x" * 201,
            "raw?first=0",
            "raw?colour=1",
        ):
            assert (await browser.get(f"/jobs/{key.job}/log/{what}")).status == 422, what


async def test_who_is_not_signed_in_sees_nothing(live: Live, key: AttemptId) -> None:
    async with visitor(live, None) as browser:
        for what in ("", "/lines?row=1", "/raw", "/live", "/find?words=x"):
            seen = await browser.get(f"/jobs/{key.job}/log{what}")
            assert seen.status == 303 and "login" in seen.location


async def test_a_record_that_is_cut_keeps_nobody_busy(live: Live, key: AttemptId) -> None:
    live.services.logs.append(key, b"2026-11-21T03:04:05.123456789Z std")
    async with visitor(live, "viewer") as browser:
        found = await ask(browser, key, "find?words=two")
        assert found["done"] and found["hits"] == [[2, 2]]
        found = await ask(browser, key, "lines?number=900")
        assert found["counted"] == found["size"] and found["found"] == []
        async with asyncio.timeout(DEADLINE):
            seen = await browser.get(f"/jobs/{key.job}/log/raw?first=2&last=900")
        assert seen.text == "two\noops\nthree"
