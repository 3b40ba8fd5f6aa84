"""Posting to receivers that answer, fail, hang, close, redirect, and that may not be reached."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from remote_server.destinations import Networks
from remote_server.webhooks.client import HttpPoster
from tests.support.authority import Authority
from tests.support.receiver import Receiver, closes, status

LOOPBACK = Networks(["127.0.0.0/8", "::1/128"])
HEADERS = {"webhook-id": "1", "webhook-timestamp": "2", "webhook-signature": "v1,x"}
BODY = b'{"a": 1}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@asynccontextmanager
async def posting(networks: Networks = LOOPBACK, **more: object) -> AsyncIterator[HttpPoster]:
    made = HttpPoster(networks, **{"timeout": 60.0, **more})  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def test_a_message_arrives_as_it_is(receiver: Receiver) -> None:
    async with posting() as poster:
        answer = await poster.post(f"{receiver.url}?key=%2F1", HEADERS, BODY)
    assert (answer.status, answer.error) == (204, "")
    (one,) = receiver.received
    assert (one.path, one.body) == ("/hook?key=%2F1", BODY)
    assert {name: one.headers[name] for name in HEADERS} == HEADERS


async def test_failures_are_said_in_words(receiver: Receiver) -> None:
    async with posting() as poster:
        for manner, code, words in (
            (status(500), 500, "answered 500"),
            (status(503, Retry_After="120"), 503, "answered 503"),
            (status(302, Location="http://127.0.0.1:1/"), 302, "redirects are not followed"),
            (closes, None, "closed the connection"),
        ):
            receiver.manner = manner
            answer = await poster.post(receiver.url, HEADERS, BODY)
            assert answer.status == code and words in answer.error, answer
            assert answer.retry_after == (120.0 if code == 503 else 0.0)
    # What closes the connection is not asked again behind our back.
    assert len(receiver.received) == 4


async def test_one_that_hangs_is_left(receiver: Receiver) -> None:
    receiver.manner = receiver.hangs
    async with posting(timeout=0.3) as poster:
        answer = await poster.post(receiver.url, HEADERS, BODY)
    assert answer.status is None and "within 0.3 s" in answer.error


async def test_an_answer_without_an_end_is_not_read_to_it() -> None:
    sent = 0
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while sent < 100 << 20:
                writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                sent += 0x10000
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, posting() as poster:
        answer = await poster.post(f"http://127.0.0.1:{port}/", HEADERS, BODY)
        assert answer.status == 200 and answer.error == ""
        await asyncio.wait_for(gone.wait(), 60)
    assert sent < 100 << 20


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
async def test_loopback_is_refused_however_it_is_written(receiver: Receiver, host: str) -> None:
    async with posting(Networks()) as poster:
        answer = await poster.post(f"http://{host}:{receiver.port}/", HEADERS, BODY)
    assert answer.status is None and "address" in answer.error, answer
    assert receiver.received == []


async def test_a_name_is_resolved_once_and_the_checked_address_is_used(receiver: Receiver) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[tuple[object, ...]]:
        """Public when it is asked first, and loopback from then on."""
        asked.append(host)
        address = "127.0.0.1" if len(asked) > 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async with posting(Networks(["192.0.2.0/24"]), timeout=3.0, lookup=rebinding) as poster:
        answer = await poster.post(f"http://rebind.example:{receiver.port}/", HEADERS, BODY)
        assert answer.status is None and len(asked) == 1
        answer = await poster.post(f"http://rebind.example:{receiver.port}/", HEADERS, BODY)
        assert "127.0.0.1 is not a public address" in answer.error
    assert receiver.received == []


async def test_of_several_addresses_only_the_allowed_are_used(receiver: Receiver) -> None:
    def both(host: str, port: int) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("10.0.0.1", "127.0.0.1")
        ]

    async with posting(lookup=both) as poster:
        answer = await poster.post(f"http://two.example:{receiver.port}/", HEADERS, BODY)
    assert answer.error == ""


async def test_a_name_that_nobody_has() -> None:
    def none(host: str, port: int) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async with posting(lookup=none) as poster:
        answer = await poster.post("http://nobody.example/", HEADERS, BODY)
    assert "cannot be resolved" in answer.error and "nobody.example" not in answer.error


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with posting() as poster:
            answer = await poster.post(f"http://127.0.0.1:{bound.getsockname()[1]}/", HEADERS, BODY)
    assert "cannot be reached" in answer.error


async def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with posting() as poster:
        assert (await poster.post(receiver.url, HEADERS, BODY)).error == ""


async def test_a_proxy_of_the_configuration_is_used(receiver: Receiver) -> None:
    async with posting(Networks(), proxy=f"http://127.0.0.1:{receiver.port}") as poster:
        answer = await poster.post("http://inside.example/hook", HEADERS, BODY)
    assert answer.error == ""
    assert receiver.received[0].path == "http://inside.example/hook"


@pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [
        ("127.0.0.1", True, ""),
        ("127.0.0.1", False, "certificate is not valid"),
        ("other.example", True, "certificate is not valid"),
    ],
)
async def test_certificates_are_verified(
    tmp_path: Path, name: str, trusted: bool, words: str
) -> None:
    authority = Authority(tmp_path)
    authority.certify(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Receiver(tls=context) as receiver:
        async with posting(ca_file=authority.file if trusted else None) as poster:
            answer = await poster.post(receiver.url, HEADERS, BODY)
        assert (words in answer.error) if words else not answer.error, answer
        assert len(receiver.received) == (0 if words else 1)
