"""Bodies within bounds of size, time and memory."""

from __future__ import annotations

import asyncio
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_server.web.http import bodies
from remote_server.web.http.bodies import BodyBudget, require_few_values
from remote_server.web.http.problems import ApiProblem
from tests.support.live_server import Live


def test_the_budget_counts_for_each_owner_and_in_total() -> None:
    budget = BodyBudget(100, 60)
    budget.take("a", 60)
    with pytest.raises(ApiProblem) as caught:
        budget.take("a", 1)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "5")
    with pytest.raises(ApiProblem) as caught:
        budget.take("b", 41)
    assert caught.value.status == 503
    budget.take("b", 40)
    budget.give("a", 60)
    budget.give("b", 40)
    assert budget.held == 0
    assert not budget._of


@pytest.mark.parametrize(
    ("value", "counted"),
    [
        ({"env": {f"N{n}": "1" for n in range(3000)}}, 3000),
        (["a,{[" * 10_000, 'q"\\",{' * 9000], 2),
        ([[], {}] * 4000, 16_000),
        ([0] * 20_000, 20_000),
    ],
)
def test_values_are_counted_outside_of_texts(value: object, counted: int) -> None:
    raw = json.dumps(value).encode()
    require_few_values(raw, counted + 10)
    with pytest.raises(ApiProblem, match="values"):
        require_few_values(raw, counted - 2)


@given(
    st.lists(st.sampled_from([b'"', b"\\", b"a", b",", b"{", b"[", b'\\"', b"\\\\"]), max_size=40),
    st.integers(1, 8),
)
def test_pieces_are_cut_where_nothing_is_torn(words: list[bytes], size: int) -> None:
    raw = b"".join(words)
    outside, inside, escaped = bytearray(), False, False
    for byte in raw:
        if escaped:
            escaped = False
            if not inside:
                outside.append(byte)
        elif byte == ord("\\"):
            escaped = True
        elif byte == ord('"'):
            inside = not inside
        elif not inside:
            outside.append(byte)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bodies, "_PIECE", size)
        found = b"".join(bodies._outside_strings(raw))
    assert [found.count(mark) for mark in b",{["] == [bytes(outside).count(m) for m in b",{["]


@pytest.mark.parametrize("end", [b"", b'"]}', b"\\"])
def test_what_has_no_end_is_counted_at_once(end: bytes) -> None:
    # A regular expression would look for an end from each of these quotes, and not come back within
    # the time of a test.
    raw = b'{"command":["' + b'\\",' * 1_000_000 + end
    require_few_values(raw, 50_000)


def test_counting_takes_little_memory() -> None:
    raw = b"{" + b",".join(b'"k%d":""' % number for number in range(200_000)) + b"}"
    tracemalloc.start()
    try:
        require_few_values(raw, 200_010)
        with pytest.raises(ApiProblem):
            require_few_values(raw, 50_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


async def slow_post(live: Live, sent: bytes, declared: int) -> bytes:
    """The status line that a body which stays unfinished leads to."""
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + live.token.encode()
    async with live.wire() as (reader, writer):
        writer.write(head + b"\r\nContent-Length: %d\r\n\r\n" % declared + sent)
        async with asyncio.timeout(20):
            return await reader.readline()


async def test_a_body_that_does_not_come_is_given_up(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_SILENCE", 0.3)
    assert b" 408 " in await slow_post(live, b"{", 1000)


async def test_bodies_in_flight_are_bounded(live: Live) -> None:
    live.services.bodies._most_each = 1 << 20
    big = 900_000
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + live.token.encode()
    async with live.wire() as (_, writer):
        writer.write(head + b"\r\nContent-Length: %d\r\n\r\n" % (2 * big) + b"x" * big)
        async with asyncio.timeout(20):
            while live.services.bodies.held < big - 200_000:
                await asyncio.sleep(0.01)
        assert b" 429 " in await slow_post(live, b"x" * big, 2 * big)
        assert (await live.post("/jobs", {"command": ["true"]})).status == 201
    async with asyncio.timeout(20):
        while live.services.bodies.held:
            await asyncio.sleep(0.01)


async def test_large_bodies_pass_and_are_released(live: Live) -> None:
    job = {"shell": "sh", "script": "echo\n" * 100_000}
    assert (await live.post("/jobs", job)).status == 201
    assert live.services.bodies.held == 0
