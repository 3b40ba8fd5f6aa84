"""Handshakes of both WebSockets of agents are refused alike."""

from __future__ import annotations

import pytest
from aiohttp import WSServerHandshakeError

from remote_protocol.limits import SUBPROTOCOL
from tests.support.live_server import Live


@pytest.mark.parametrize("path", ["/agent/session", "/agent/probe"])
async def test_what_is_no_handshake_of_an_agent(live: Live, path: str) -> None:
    token = await live.register("a")
    plain = await live.get(path, token=token)
    assert "removed the Upgrade header" in plain.problem(400, "bad_request")["detail"]
    url, own = f"{live.url}/api/v1{path}", {"Authorization": f"Bearer {token}"}
    for protocols in ((), ("other",)):
        with pytest.raises(WSServerHandshakeError) as caught:
            await live.session.ws_connect(url, headers=own, protocols=protocols)
        assert caught.value.status == 400
    live.services.followers.closing = True
    with pytest.raises(WSServerHandshakeError) as caught:
        await live.session.ws_connect(url, headers=own, protocols=(SUBPROTOCOL,))
    assert caught.value.status == 503
