"""HTTP/1.1 as the relay reads it: what is taken, and what two programs could read in two ways."""

from __future__ import annotations

import asyncio

import pytest

from remote_agent.relay.wire import (
    CHUNKED,
    MAX_HEAD,
    MAX_LINE,
    MAX_LINES,
    TO_THE_END,
    BadMessage,
    BodyTooLarge,
    Head,
    body,
    chunk,
    head_of,
    length_of_request,
    length_of_response,
    read_request,
    read_response,
)

START = b"GET /a HTTP/1.1\r\n"


def reader(data: bytes, *, ends: bool = True) -> asyncio.StreamReader:
    found = asyncio.StreamReader(limit=65536)
    found.feed_data(data)
    if ends:
        found.feed_eof()
    return found


async def request(data: bytes) -> Head | None:
    return await read_request(reader(data))


async def test_a_head() -> None:
    head = await read_request(reader(b"T /a?b HTTP/1.1\r\nX-A:  b c \r\nx-a: d\r\n\r\nrest"), b"GE")
    assert head == Head(("GET", "/a?b"), 1, [("X-A", "b c"), ("x-a", "d")])
    assert (head.get("x-a"), head.all("x-a"), head.get("y")) == ("b c", ["b c", "d"], "")
    assert await request(b"") is None
    assert await read_response(reader(b"")) is None
    continued = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nA: b\r\n\r\n"
    assert await read_response(reader(continued)) == Head(("404",), 1, [("A", "b")])


@pytest.mark.parametrize(
    ("head", "keeps"),
    [("HTTP/1.1", True), ("HTTP/1.0", False), ("HTTP/1.1\r\nConnection: a, Close", False)],
)
async def test_whether_a_connection_stays(head: str, keeps: bool) -> None:
    found = await request(f"GET /a {head}\r\n\r\n".encode())
    assert found is not None and found.keeps is keeps


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /a HTTP/1.1", 400),
        (b"GET  /a HTTP/1.1\r\n\r\n", 400),
        (b"get /a HTTP/1.1\r\n\r\n", 400),
        (b"GET /a HTTP/2\r\n\r\n", 400),
        (b"GET /\xe4 HTTP/1.1\r\n\r\n", 400),
        (b"\r\nGET /a HTTP/1.1\r\n\r\n", 400),
        (START + b"X : a\r\n\r\n", 400),
        (START + b" X: a\r\n\r\n", 400),
        (START + b"X: a\nY: b\r\n\r\n", 400),
        (START + b"X: a\x00\r\n\r\n", 400),
        (START + b"X\r\n\r\n", 400),
        (START + b"X: a\r\n" * (MAX_LINES + 1) + b"\r\n", 431),
        (START + b"X: " + b"a" * MAX_LINE + b"\r\n\r\n", 431),
        (START + b"X: " + b"a" * MAX_HEAD + b"\r\n\r\n", 431),
        (START + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_is_no_head(data: bytes, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        await request(data)
    assert caught.value.status == status


def head(
    *headers: tuple[str, str], minor: int = 1, words: tuple[str, ...] = ("POST", "/a")
) -> Head:
    return Head(words, minor, list(headers))


def test_lengths() -> None:
    assert length_of_request(head()) == 0
    assert length_of_request(head(("content-length", "5"))) == 5
    assert length_of_request(head(("Transfer-Encoding", "Chunked"))) == CHUNKED
    ok = ("200",)
    assert length_of_response(head(words=ok), "GET") == TO_THE_END
    assert length_of_response(head(("Content-Length", "5"), words=ok), "HEAD") == 0
    assert length_of_response(head(words=("204",)), "GET") == 0


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "5"), ("Content-Length", "5")],
        [("Transfer-Encoding", "gzip, chunked")],
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "5, 5")],
        [("Content-Length", "-5")],
        [("Content-Length", "5_0")],
        [("Content-Length", "")],
    ],
)
def test_lengths_that_could_be_read_in_two_ways(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(BadMessage):
        length_of_request(head(*headers))
    with pytest.raises(BadMessage):
        length_of_request(head(("Transfer-Encoding", "chunked"), minor=0))


async def whole(data: bytes, length: int, most: int = 100, *, ends: bool = True) -> bytes:
    return b"".join([piece async for piece in body(reader(data, ends=ends), length, most, 0.2)])


async def test_bodies() -> None:
    assert await whole(b"12345rest", 5) == b"12345"
    assert await whole(b"rest", 0) == b""
    assert await whole(b"to the end", TO_THE_END) == b"to the end"
    coded = chunk(b"one") + b"A;x=y\r\n0123456789\r\n0\r\nTrailer: a\r\n\r\n"
    assert await whole(coded, CHUNKED) == b"one0123456789"


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"1234", 5),
        (b"5\r\n12345", CHUNKED),
        (b"5\r\n1234567\r\n0\r\n\r\n", CHUNKED),
        (b"x\r\n", CHUNKED),
        (b"-5\r\n12345\r\n", CHUNKED),
        (b"fffffffff\r\n", CHUNKED),
        (b"0\r\n" + b"T: a\r\n" * 100 + b"\r\n", CHUNKED),
        (b"1" * 100_000, CHUNKED),
        (b"", CHUNKED),
    ],
)
async def test_bodies_that_are_none(data: bytes, length: int) -> None:
    with pytest.raises(BadMessage):
        await whole(data, length)


@pytest.mark.parametrize(
    ("data", "length"),
    [(b"", 101), (chunk(b"a" * 101), CHUNKED), (b"a" * 101, TO_THE_END)],
)
async def test_bodies_are_bounded(data: bytes, length: int) -> None:
    with pytest.raises(BodyTooLarge) as caught:
        await whole(data, length)
    assert caught.value.status == 413


@pytest.mark.parametrize(("data", "length"), [(b"1", 5), (b"5\r\n1", CHUNKED), (b"5", CHUNKED)])
async def test_bodies_that_do_not_come(data: bytes, length: int) -> None:
    with pytest.raises(TimeoutError):
        await whole(data, length, ends=False)


def test_a_head_is_written() -> None:
    assert head_of("GET / HTTP/1.1", [("A", "b")]) == b"GET / HTTP/1.1\r\nA: b\r\n\r\n"
