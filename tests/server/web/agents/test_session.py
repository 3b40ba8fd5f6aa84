"""The handshake of an agent's WebSocket, and what is no message on it."""

from __future__ import annotations

import pytest
from aiohttp import WSServerHandshakeError

from remote_protocol.errors import CloseCode
from remote_protocol.limits import SUBPROTOCOL
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
