"""The link over real sockets: frames, refusals in words, reconnecting, TLS, proxies."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import serve

from remote_agent import backoff
from remote_agent.connection import link
from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.link import Link
from remote_agent.connection.websocket import open_websocket
from remote_agent.errors import IdentityCopied, TokenRefused
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, Chunk, ContentChunk, encode, pack_header
from remote_protocol.errors import CloseCode, RemoteProtocolError
from remote_protocol.limits import SUBPROTOCOL
from remote_protocol.messages import Heartbeat, HeartbeatAck, Hello, Resync, ServerMessage, Welcome
from tests.support.fake_server import TOKEN, FakeServer, new_key, until
from tests.support.ports import free_port


class Ear:
    """Remembers what the link tells, and says hello as a session would."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.opened: list[str] = []
        self.got: list[ServerMessage] = []
        self.fed: list[tuple[AttemptId, int, bytes]] = []
        self.closed: list[str] = []
        self.fault: Exception | None = None

    def link_opened(self, session: str) -> None:
        self.opened.append(session)
        assert self.link is not None
        self.link.send(
            Hello(oldest=1, newest=1, installation="i", session=session, agent_version="test")
        )

    def link_received(self, message: ServerMessage) -> None:
        self.got.append(message)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault

    def link_input(self, chunk: Chunk | ContentChunk) -> None:
        self.fed.append((chunk.attempt, chunk.offset, bytes(chunk.payload)))

    def link_closed(self, reason: str) -> None:
        self.closed.append(reason)


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    """Waiting is tested where it is computed; here it would only take time."""
    monkeypatch.setattr(backoff, "delay", lambda attempt, uniform, longest: 0.01)
    monkeypatch.setattr(link, "FENCED_DELAY", (0.01, 0.02))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def linked(url: str, **more: Any) -> AsyncIterator[tuple[Link, Ear, asyncio.Task[None]]]:
    """A link that runs, and who listens to it."""
    ear = Ear()
    ear.link = Link(Endpoint(url, TOKEN, **more))
    task = asyncio.create_task(ear.link.run(ear))
    try:
        yield ear.link, ear, task
    finally:
        await ear.link.finish()
        task.cancel()
        with suppress(asyncio.CancelledError, TokenRefused):
            await task


async def test_messages_and_frames_arrive_in_the_order_written():
    async with FakeServer() as server, linked(server.url) as (wire, ear, _):
        await server.online()
        await until(lambda: any(isinstance(m, Welcome) for m in ear.got))
        key = new_key()
        buffer = bytearray(HEADER_SIZE + 5)
        pack_header(buffer, key, 0)
        buffer[HEADER_SIZE:] = b"hello"
        assert wire.write(memoryview(buffer))
        wire.send(Heartbeat(seq=7))
        await wire.drain()
        await until(lambda: any(isinstance(m, HeartbeatAck) and m.seq == 7 for m in ear.got))
        assert bytes(server.logs[key]) == b"hello"
        assert ear.opened[0] == server.hellos[0].session


async def test_messages_of_a_turn_leave_together_before_the_bytes_after_them(monkeypatch):
    async with FakeServer() as server, linked(server.url) as (wire, ear, _):
        await server.online()
        await until(lambda: any(isinstance(m, Welcome) for m in ear.got))
        assert wire._socket is not None
        frames: list[object] = []
        write = wire._socket.write

        def noted(frame: str | memoryview) -> None:
            frames.append(frame)
            write(frame)

        monkeypatch.setattr(wire._socket, "write", noted)
        wire.send(Heartbeat(seq=7))
        wire.send(Heartbeat(seq=8))
        assert not frames
        await until(lambda: [m.seq for m in ear.got if isinstance(m, HeartbeatAck)] == [7, 8])
        assert len(frames) == 1
        wire.send(Heartbeat(seq=9))
        assert wire.write(memoryview(b"no chunk"))
        assert [type(frame) for frame in frames[1:]] == [str, memoryview]


async def test_what_was_said_leaves_before_the_link_is_closed():
    async with FakeServer() as server:
        async with linked(server.url) as (wire, ear, _):
            await server.online()
            await until(lambda: any(isinstance(m, Welcome) for m in ear.got))
            wire.send(Heartbeat(seq=7))
            await wire.finish()
        assert [m.seq for m in server.said if isinstance(m, Heartbeat)] == [7]


async def test_messages_after_one_that_closes_the_link_are_not_heard():
    async with FakeServer() as server, linked(server.url) as (_, ear, _task):
        await server.online()
        await until(lambda: any(isinstance(m, Welcome) for m in ear.got))
        assert server.wire is not None
        ear.fault = RemoteProtocolError("enough")
        await server.wire.send("\n".join([encode(Resync(reason="a")), encode(Resync(reason="b"))]))
        await until(lambda: ear.closed)
        assert [m.reason for m in ear.got if isinstance(m, Resync)] == ["a"]


async def test_a_cut_link_is_made_again_with_a_new_session():
    async with FakeServer() as server, linked(server.url) as (_, ear, _task):
        await server.online()
        server.cut()
        await server.online(hellos=2)
        assert len(set(ear.opened)) == 2
        assert len(ear.closed) == 1


async def test_it_never_gives_up_on_a_server_that_is_away():
    server = FakeServer()
    server.port = free_port()
    async with linked(server.url) as (wire, ear, task):
        await until(lambda: wire.failure)
        assert not task.done() and not wire.open
        wire.send(Heartbeat(seq=1))
        assert not wire.write(memoryview(b"x"))
        async with server:
            await server.online()
            assert ear.opened


@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_token"), (401, "expired_token"), (403, "wrong_token_kind")]
)
async def test_a_refused_token_ends_the_loop(status, code):
    async with FakeServer() as server:
        server.refusal = (status, code)
        async with linked(server.url) as (_, ear, task):
            with pytest.raises(TokenRefused, match="refused this agent's token") as caught:
                await asyncio.wait_for(task, 60)
            assert caught.value.exit_code == 4
            assert not ear.opened


@pytest.mark.parametrize(("status", "code"), [(503, "store_unavailable"), (401, "")])
async def test_other_refusals_are_tried_again(status, code):
    """A 401 without a code of ours may come from a proxy on its bad day."""
    async with FakeServer() as server:
        server.refusal = (status, code)
        async with linked(server.url) as (wire, _, _task):
            await until(lambda: wire.failure)
            server.refusal = None
            await server.online()


async def test_unregistered_ends_the_loop():
    async with FakeServer() as server, linked(server.url) as (_, _ear, task):
        await server.online()
        assert server.wire is not None
        await server.wire.close(CloseCode.UNREGISTERED, "deleted by alice")
        with pytest.raises(TokenRefused, match="deleted by alice"):
            await asyncio.wait_for(task, 60)


async def test_a_copied_identity_is_for_a_person():
    async with FakeServer() as server, linked(server.url) as (_, _ear, task):
        await server.online()
        assert server.wire is not None
        await server.wire.close(CloseCode.COPIED, "another installation")
        with pytest.raises(IdentityCopied, match="under a name of its own") as caught:
            await asyncio.wait_for(task, 60)
        assert caught.value.exit_code == 4


async def test_a_fenced_link_waits_longer_and_comes_back(capsys):
    async with FakeServer() as server, linked(server.url):
        await server.online()
        assert server.wire is not None
        await server.wire.close(CloseCode.FENCED, "another took over")
        await server.online(hellos=2)
    assert "another agent connected with this agent's identity" in capsys.readouterr().out


async def test_closing_for_the_servers_error_counts_as_its_close(capsys):
    """The server announces its close in words, and the session closes first."""
    async with FakeServer() as server, linked(server.url) as (mine, ear, task):
        await server.online()
        mine.close(CloseCode.FENCED, "a newer session is connected")
        await server.online(hellos=2)
        assert ear.closed == ["a newer session is connected"]
        assert "another agent connected with this agent's identity" in capsys.readouterr().out
        mine.close(CloseCode.UNREGISTERED, "deleted by alice")
        with pytest.raises(TokenRefused, match="deleted by alice"):
            await asyncio.wait_for(task, 60)


async def test_garbage_closes_the_link_with_the_code_of_the_guilty():
    async with FakeServer() as server, linked(server.url) as (_, ear, _task):
        await server.online()
        wire = server.wire
        assert wire is not None
        await wire.send('{"type": "nonsense"}')
        await until(lambda: wire.close_code)
        assert wire.close_code == CloseCode.BAD_MESSAGE
        await server.online(hellos=2)
        assert len(ear.closed) == 1


async def test_a_listener_that_finds_the_message_wrong_closes_the_link():
    async with FakeServer() as server, linked(server.url) as (_, ear, _task):
        await server.online()
        wire = server.wire
        assert wire is not None
        ear.fault = RemoteProtocolError("acknowledged too much")
        server.say(Resync())
        await until(lambda: wire.close_code)
        assert (wire.close_code, wire.close_reason) == (4000, "acknowledged too much")


async def test_close_says_code_and_reason_and_nothing_is_heard_after_it():
    async with FakeServer() as server, linked(server.url) as (link_, ear, _):
        await server.online()
        wire = server.wire
        assert wire is not None
        link_.close(CloseCode.SILENT, "ü" * 200)
        assert not link_.open
        await until(lambda: wire.close_code)
        assert wire.close_code == CloseCode.SILENT
        await server.online(hellos=2)
        assert len(ear.closed) == 1


async def test_another_product_is_named():
    refusal = await _refusal_of(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
    assert "is no remote-server" in refusal and "/api/v1/agent/session" in refusal


async def test_an_answer_that_is_no_http_is_named():
    assert "failed" in await _refusal_of(b"SSH-2.0-OpenSSH_9.2\r\n")


async def _refusal_of(answer: bytes) -> str:
    async def reply(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        lost = Link(Endpoint(url, TOKEN))
        with pytest.raises(Exception) as caught:
            await open_websocket(lost.endpoint)
        return lost._explain(caught.value)


async def test_a_private_authority_is_trusted_when_named(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    seen = []

    async def greet(wire):
        seen.append(await wire.recv())
        await wire.wait_closed()

    protocols = [SUBPROTOCOL]
    async with serve(greet, "localhost", 0, ssl=context, subprotocols=protocols) as server:  # type: ignore[arg-type]
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        stranger = Link(Endpoint(url, TOKEN))
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await open_websocket(stranger.endpoint)
        assert "ca_file" in stranger._explain(caught.value)
        async with linked(url, ca_file=str(tmp_path / "ca.pem")):
            await until(lambda: seen)


@asynccontextmanager
async def _proxy(log: list[str], credentials: str | None) -> AsyncIterator[int]:
    """The port of an HTTP proxy that knows CONNECT (RFC 9110 §9.3.6); if wanted, it asks who
    calls."""

    async def pump(reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    at_work: set[asyncio.Task[Any] | None] = set()

    async def handle(reader, writer):
        at_work.add(asyncio.current_task())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        log.append(head.split("\r\n")[0])
        wanted = credentials and b64encode(credentials.encode()).decode()
        if wanted and f"Basic {wanted}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        host, _, port = head.split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    # Nothing stays open for the collector to find in another test.
    await asyncio.gather(*filter(None, at_work))


async def test_a_proxy_with_credentials():
    log: list[str] = []
    async with FakeServer() as server, _proxy(log, "me:secret") as port:
        nobody = Link(Endpoint(server.url, TOKEN, proxy=f"http://127.0.0.1:{port}"))
        with pytest.raises(Exception) as caught:
            await open_websocket(nobody.endpoint)
        assert "wants a user name and a password (HTTP 407); put user:password@" in nobody._explain(
            caught.value
        )
        async with linked(server.url, proxy=f"http://me:secret@127.0.0.1:{port}"):
            await server.online()
        assert log[-1] == f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"


async def test_the_proxy_of_the_environment_and_its_exceptions(monkeypatch):
    log: list[str] = []
    async with FakeServer() as server, _proxy(log, None) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        async with linked(server.url):
            await server.online()
        assert len(log) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with linked(server.url):
            await server.online(hellos=2)
        assert len(log) == 1


@pytest.mark.parametrize("kind", ["gopher", "socks5"])
async def test_a_proxy_of_another_kind_is_said_without_its_password(kind):
    lost = Link(Endpoint("http://127.0.0.1:1", TOKEN, proxy=f"{kind}://me:hunter2@x"))
    with pytest.raises(Exception) as caught:
        await open_websocket(lost.endpoint)
    assert "hunter2" not in lost._explain(caught.value)
