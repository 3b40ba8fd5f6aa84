"""What operators do with agents."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

from remote_protocol.ids import TOKEN_ENTROPY, TokenKind, make_token
from remote_server.domain.model import Agent
from remote_server.errors import NotFound
from remote_server.web.authenticator import digest
from remote_server.web.route import Call

PAUSE: Final = "pause"
RESUME: Final = "resume"
DRAIN: Final = "drain"
RESTART: Final = "restart"


async def instruct(
    call: Call, name: str, action: str, *, comment: str = "", deadline: float | None = None
) -> Agent:
    """Pause, resume, drain or restart an agent; resuming takes pause and drain back. `deadline`:
    seconds until what a draining agent still runs is cancelled. NotFound; Conflict for an agent
    that cannot be restarted."""
    change = call.services.store.set_wishes
    now, by = time.time(), call.principal
    if action == PAUSE:
        return await change(name, now, paused=True, comment=comment, by=by)
    if action == DRAIN:
        return await change(name, now, draining=True, deadline=deadline, by=by)
    if action == RESTART:
        return await call.services.store.request_restart(name, now, by=call.principal)
    return await change(name, now, paused=False, draining=False, by=by)


async def instruct_all(
    call: Call,
    names: Iterable[str],
    action: str,
    *,
    comment: str = "",
    deadline: float | None = None,
) -> int:
    """The same with several; how many there were. Those that are gone meanwhile need nothing."""
    count = 0
    for name in dict.fromkeys(names):
        try:
            await instruct(call, name, action, comment=comment, deadline=deadline)
        except NotFound:
            continue
        count += 1
    return count


async def rotate_token(call: Call, name: str) -> str:
    """Give an agent a new token; its text, which is kept nowhere. NotFound."""
    store = call.services.store
    agent = await store.agent(name)
    text = make_token(TokenKind.AGENT, os.urandom(TOKEN_ENTROPY))
    await store.rotate_token(agent.name, digest(text), time.time(), by=call.principal)
    return text
