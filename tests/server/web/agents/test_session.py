"""The handshake of an agent's WebSocket, and what is no message on it."""

from __future__ import annotations

import asyncio
import gc

import pytest
from aiohttp import WSCloseCode, WSMsgType, WSServerHandshakeError, web
from structlog.testing import capture_logs

from remote_protocol.errors import CloseCode
from remote_protocol.limits import MAX_CHUNK_FRAME, SUBPROTOCOL
from remote_server.web.http.connection import Connection
from tests.support.fake_server import until
from tests.support.live_server import Live


async def test_the_session_is_a_websocket_with_its_subprotocol(live: Live) -> None:
    token = await live.register("a")
    plain = await live.get("/agent/session", token=token)
    assert "Upgrade" in plain.problem(400, "bad_request")["detail"]
    async with live.connect(token) as link:
        assert link.wire.protocol == SUBPROTOCOL
    for others in ((), ("other",)):
        with pytest.raises(WSServerHandshakeError) as caught:
            await live.session.ws_connect(
                f"{live.url}/api/v1/agent/session",
                headers={"Authorization": f"Bearer {token}"},
                protocols=others,
            )
        assert caught.value.status == 400
    for wrong in ("", live.token):
        with pytest.raises(WSServerHandshakeError) as caught:
            await live.session.ws_connect(
                f"{live.url}/api/v1/agent/session",
                headers={"Authorization": f"Bearer {wrong}"} if wrong else {},
            )
        assert caught.value.status == (403 if wrong else 401)


async def test_garbage_closes_the_link_and_harms_nothing(live: Live) -> None:
    token = await live.register("a")
    async with live.connect(token) as link:
        await link.wire.send_str("{garbage")
        assert (await link.until("error")).detail
        assert await link.closed() == CloseCode.BAD_MESSAGE
    async with live.connect(token) as link:
        await link.wire.send_bytes(b"\x00garbage")
        assert await link.closed() == CloseCode.BAD_MESSAGE
    async with live.connect(token):
        assert (await live.get("/agents/a")).body["state"] == "online"


async def test_a_frame_that_is_too_large_is_answered_with_the_reason(live: Live) -> None:
    token = await live.register("a")
    async with live.connect(token) as link:
        await link.wire.send_str("x" * (4 * MAX_CHUNK_FRAME))
        assert await link.closed() == WSCloseCode.MESSAGE_TOO_BIG


def requests_of_sessions() -> list[web.Request]:
    """Requests for a session that something still keeps."""
    gc.collect()
    found = [o for o in gc.get_objects() if type(o) is web.Request]
    return [request for request in found if request.path == "/api/v1/agent/session"]


def carried() -> list[Connection]:
    """The open connections that are links."""
    return [o for o in gc.get_objects() if type(o) is Connection and o._carrier is not None]


async def test_an_open_link_keeps_nothing_of_the_request_that_opened_it(live: Live) -> None:
    token = await live.register("a")
    async with live.connect(token):
        [connection] = carried()
        assert requests_of_sessions() == []
        assert connection._task_handler is None and connection._current_request is None
        assert (await live.get("/agents/a")).body["state"] == "online"
    await until(lambda: not carried(), "the connection of a link that has ended is gone")


async def test_a_link_that_does_not_end_is_cut_when_the_server_stops(live: Live) -> None:
    token = await live.register("a")
    async with live.connect(token) as link:
        [connection] = carried()
        async with asyncio.timeout(20):
            await connection.shutdown(0.01)
        await link.closed()
    assert live.services.hub.links() == []


async def test_a_mistake_in_a_link_is_told_and_ends_its_connection(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    token = await live.register("a")
    monkeypatch.setattr(live.services.hub, "serve", broken)
    with capture_logs() as told:
        async with live.session.ws_connect(
            f"{live.url}/api/v1/agent/session",
            headers={"Authorization": f"Bearer {token}"},
            protocols=(SUBPROTOCOL,),
        ) as wire:
            frame = await wire.receive(timeout=20)
    assert frame.type in (WSMsgType.CLOSED, WSMsgType.CLOSING), frame
    assert [line["log_level"] for line in told if "a link ended by a mistake" in line["event"]] == [
        "error"
    ]
