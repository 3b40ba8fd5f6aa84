"""Changing queues."""

from __future__ import annotations

from typing import Final

from remote_protocol.api.queues import QueueChange
from remote_protocol.ids import Role
from remote_protocol.units import format_duration, format_size
from remote_server.domain.model import Queue
from remote_server.web.http.problems import forbidden
from remote_server.web.route import Call

_SHORTEST: Final = 3600.0
"""Seconds that an operator must let ended jobs and their logs be kept."""
_SMALLEST: Final = 256 << 20
"""Bytes of logs of ended jobs that an operator must let a queue keep."""


async def change_queue(call: Call, name: str, change: QueueChange) -> Queue:
    """Change, pause or resume a queue. ApiProblem when the caller's role does not allow it."""
    if call.token.role is not Role.ADMIN:
        _check_retention(change, f"with the role {call.token.role},")
        if change.default is not None:
            raise forbidden("only an admin chooses the queue to which jobs go that name none")
    return await call.services.store.change_queue(name, change, by=call.principal)


def _check_retention(change: QueueChange, who: str) -> None:
    """ApiProblem when jobs or logs would vanish as soon as they have ended."""
    why = "what ran must not vanish at once; an admin may set less"
    for what, kept in (("ended jobs", change.job_retention), ("logs", change.log_retention)):
        if kept is not None and kept < _SHORTEST:
            least = format_duration(_SHORTEST)
            raise forbidden(f"{who} {what} are kept for {least} at least: {why}")
    total = change.log_max_total
    if total is not None and total < _SMALLEST:
        raise forbidden(f"{who} {format_size(_SMALLEST)} of logs are kept at least: {why}")
