"""Sends what the server has of an agent's own log, and what comes."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from remote_server.web.followers import agent_log_topic, wait
from remote_server.web.http.frames import KEEP_ALIVE, TEXT, ClientGone, Stream
from remote_server.web.route import Call

_PIECE: Final = 64 * 1024


async def send_log(
    call: Call, agent: str, offset: int, follow: bool, headers: dict[str, str]
) -> web.StreamResponse:
    """Answer with the log from `offset` on, or from where what is kept begins. With `follow` it
    goes on for ever; ClientGone at the end of the client or of the server."""
    services = call.services
    logs, turn = services.agent_logs, services.streams.turns.of(call.token.id)
    start, end = logs.extent(agent)
    offset = min(max(offset, start), end)
    stream = Stream(
        call, TEXT, {"Remote-Log-Offset": str(offset), "Remote-Log-Size": str(end), **headers}
    )
    with services.followers.follow(agent_log_topic(agent)) as changed:
        await stream.open()
        while True:
            changed.clear()
            while True:
                async with turn:
                    data, offset = logs.read(agent, offset, _PIECE)
                    await asyncio.sleep(0)
                if not data:
                    break
                await stream.write(data)
            if not follow:
                return await stream.close()
            if services.followers.closing:
                raise ClientGone("the server stops")
            if not await wait(changed, KEEP_ALIVE):
                await stream.keep_alive()
