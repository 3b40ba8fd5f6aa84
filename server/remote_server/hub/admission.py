"""Whether an installation of an agent gets a name that another installation held last.

A copied identity would otherwise have the jobs of the first host called lost, and the two would
throw each other out for ever. The newest session wins only among those of one installation. No I/O
but through hub and store.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from remote_protocol.errors import CloseCode
from remote_protocol.messages import Hello
from remote_server.domain.events import Doubted
from remote_server.domain.session import SILENCE
from remote_server.errors import NotFound
from remote_server.hub.link import Link
from remote_server.hub.registry import Registry

log = structlog.get_logger("remote_server.hub")

_LOOK: Final = 0.05


async def admit(hub: Registry, link: Link, hello: Hello) -> None:
    """Let a link in, noting whether another installation had the name (`moved`), or close it with a
    sentence that says why.

    A holder whose link is open is asked for a sign of life: it may have been dead since a moment
    ago. One that went without a goodbye has the time in which it would be called silent; after a
    start of the server nobody has said goodbye.
    """
    try:
        last = (await hub.store.agent(link.name)).installation
    except NotFound:
        return
    # A host that took the name over has none on record.
    link.moved = last != hello.installation
    if last is None or not link.moved:
        return
    holder = hub.holder(link.name)
    if holder is not None:
        if await _is_alive(hub, holder):
            _refuse(hub, link)
        return
    left = SILENCE * hub.terms.heartbeat_interval - hub.away(link.name)
    if left > 0:
        link.close(
            CloseCode.TRY_AGAIN,
            f"another installation had the name {link.name!r} until just now; it may come back "
            f"for {left:.0f} s",
        )


async def _is_alive(hub: Registry, holder: Link) -> bool:
    """Ask a holder to say hello, and wait until it does, or is gone, or counts as stale."""
    session = holder.session
    if session is None:
        return False
    before = session.hello
    holder.feed(Doubted())
    while hub.holder(holder.name) is holder and not holder.closed:
        if session.hello is not before:
            return True
        if session.stale(hub.clock.boot()):
            return False
        await asyncio.sleep(_LOOK)
    return False


def _refuse(hub: Registry, link: Link) -> None:
    text = "a copied identity was refused"
    hub.log.write(log.warning, text, link.name, address=link.address)
    link.close(
        CloseCode.COPIED,
        f"the agent {link.name!r} is connected from another installation; this one has a copy of "
        "its identity",
    )
