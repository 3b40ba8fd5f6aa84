"""Tells a page that is being looked at when it should be drawn again."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.followers import TIMELINE, queue_topic, wait
from remote_server.web.http.frames import SSE, ClientGone, Stream
from remote_server.web.route import Call, Route

_LONGEST: Final = 5.0
"""Seconds between two, however little happens: silence of agents shows, too."""


@Route("GET", "/live", QUEUE_VIEWER, page=True, media=(SSE,), lasting=True)
async def live(call: Call) -> web.StreamResponse:
    """Events `changed`, as server-sent events: something happened, or some time went by."""
    services = call.services
    stream = Stream(call, SSE)
    topics = (
        [queue_topic(queue) for queue in call.token.queues] if call.token.limited else [TIMELINE]
    )
    with services.pace.page(), services.followers.follow(*topics) as changed:
        await stream.open()
        await stream.event("open", {})
        while True:
            changed.clear()
            pause = services.pace.pause
            await asyncio.sleep(pause)
            await wait(changed, max(0.0, _LONGEST - pause))
            if services.followers.closing:
                raise ClientGone("the server stops")
            await stream.keep_alive()
            await stream.event("changed", {})
