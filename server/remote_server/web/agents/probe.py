"""The WebSocket on which an agent tries its way to the server: what comes goes back. Speaks HTTP.

It is no session: nothing is stored, no job comes by it, and no session of the agent notices.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from remote_protocol.errors import CloseCode
from remote_protocol.limits import MAX_PROBE_FRAME
from remote_server.web.access import ENROL
from remote_server.web.agents.handshake import websocket_of
from remote_server.web.http.connection import Connection
from remote_server.web.route import Call, Route

MOST_FRAMES: Final = 100
"""Frames of one probe, pings among them."""
MOST_BYTES: Final = 2 * MOST_FRAMES * (MAX_PROBE_FRAME + 8)
"""Bytes that may come: twice those of all frames with their heads. Parts of a message, which may be
empty, are not counted as frames."""
LONGEST: Final = 900.0
"""Seconds of one probe, which may be silent: that finds the time-outs of proxies."""
LOOK_EVERY: Final = 5.0
"""Seconds between two looks whether the bearer's token still holds."""
_CLOSING: Final = frozenset((WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR))


@Route(
    "GET",
    "/api/v1/agent/probe",
    ENROL,
    status=101,
    lasting=True,
    operation="open_agent_probe",
)
async def probe(call: Call) -> web.StreamResponse:
    """WebSocket that sends back what comes.

    At most 100 frames of 125 bytes, for 15 minutes; for agents, and hosts that want to become one,
    to try their way.
    """
    # Pings are frames, too, and are counted here.
    link = websocket_of(call, MAX_PROBE_FRAME + 1, autoping=False)
    wire = call.request.protocol
    if isinstance(wire, Connection):
        who = call.token.agent or call.token.id
        call.services.connections.probed(wire, who)
        wire.bytes_left = MOST_BYTES
    call.opened = link
    await link.prepare(call.request)
    with call.services.followers.follow(f"probe/{call.token.id}") as stopping:
        try:
            async with asyncio.timeout(LONGEST):
                code, reason = await _echo(call, link, stopping)
        except TimeoutError:
            code, reason = CloseCode.NORMAL, f"a probe lasts {LONGEST:.0f} s at the most"
    await link.close(code=code, message=reason.encode())
    return link


async def _echo(
    call: Call, link: web.WebSocketResponse, stopping: asyncio.Event
) -> tuple[int, str]:
    """Send back what comes; why that ends."""
    for _ in range(MOST_FRAMES):
        message = await _next(call, link, stopping)
        if not isinstance(message, WSMessage):
            return message
        if message.type in _CLOSING:
            return CloseCode.NORMAL, ""
        if message.type is WSMsgType.TEXT:
            await link.send_str(message.data)
        elif message.type is WSMsgType.PING:
            await link.pong(message.data)
        elif message.type is not WSMsgType.PONG:
            return WSCloseCode.UNSUPPORTED_DATA, "a probe is of short texts"
    return WSCloseCode.POLICY_VIOLATION, f"a probe has {MOST_FRAMES} frames at the most"


async def _next(
    call: Call, link: web.WebSocketResponse, stopping: asyncio.Event
) -> WSMessage | tuple[int, str]:
    """The next frame, or why none is waited for any more."""
    receiving = asyncio.ensure_future(link.receive())
    stop = asyncio.ensure_future(stopping.wait())
    try:
        while not receiving.done():
            await asyncio.wait(
                (receiving, stop), timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED
            )
            if call.services.followers.closing:
                return CloseCode.GOING_AWAY, "the server is stopping"
            if not receiving.done():
                refused = await call.services.authenticator.judge(call.token)
                if refused is not None:
                    return CloseCode.UNREGISTERED, refused.code
        return receiving.result()
    finally:
        receiving.cancel()
        stop.cancel()
