"""What the running agent answers to the command line of its host: status, pause, resume, drain.

May touch the wishes; everything else is only read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from remote_agent import __version__
from remote_agent.app.driver import Host
from remote_agent.connection.identity import Identity
from remote_agent.errors import AgentError, os_words
from remote_agent.local.control import Handler
from remote_agent.local.desired_state import LocalWishes
from remote_agent.processes import boottime
from remote_agent.session.attempt import Attempt
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import PROTOCOL_VERSION


class Answers:
    """The handlers of the control socket."""

    def __init__(self, host: Host, identity: Callable[[], Identity], jobs_run_as: str) -> None:
        self._host = host
        self._jobs_run_as = jobs_run_as
        self._identity = identity

    def handlers(self) -> dict[str, Handler]:
        """By the `do` of the request."""
        return {
            "status": self._status,
            "pause": self._pause,
            "resume": self._resume,
            "drain": self._drain,
        }

    async def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        known = document(self._host, self._identity(), boottime())
        return {**known, "jobs_run_as": self._jobs_run_as}

    async def _pause(self, request: dict[str, Any]) -> dict[str, Any]:
        comment = str(request.get("comment") or "")[:1000]
        return self._say(replace(self._host.wishes.local, paused=True, comment=comment))

    async def _resume(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._say(LocalWishes())

    async def _drain(self, request: dict[str, Any]) -> dict[str, Any]:
        given = request.get("deadline")
        try:
            deadline = None if given is None else float(given)
        except (TypeError, ValueError):
            raise AgentError("a drain's deadline is a number of seconds") from None
        local = self._host.wishes.local
        return self._say(replace(local, draining=True, drain_deadline=deadline))

    def _say(self, local: LocalWishes) -> dict[str, Any]:
        """Keep the wish; `condition` in the answer says what holds now, all wishes together."""
        try:
            self._host.wishes.say(local)
        except OSError as error:
            why = os_words(error, "the state directory")
            raise AgentError(f"the wish cannot be kept: {why}") from None
        self._host.reconsider()
        condition = self._host.wishes.condition()
        return {"condition": "taking jobs" if condition.accepting else condition.reason}


def document(host: Host, identity: Identity, now: float) -> dict[str, Any]:
    """The status as JSON-able values. `now` is by the clock of `host`; secrets are left out."""
    condition, session, welcome = host.wishes.condition(), host.session, host.welcome
    connected = host.connected_at is not None
    return {
        "name": identity.name,
        "server": identity.server,
        "link": "online" if connected else "away, trying again",
        "connected_seconds": round(now - host.connected_at, 3) if host.connected_at else None,
        "epoch": welcome.epoch if welcome and connected else None,
        "server_version": welcome.server_version if welcome else None,
        "heartbeat_interval": welcome.heartbeat_interval if welcome else None,
        "condition": "taking jobs" if condition.accepting else condition.reason,
        "accepting": condition.accepting,
        "draining": condition.draining,
        "paused": host.wishes.local.paused or host.wishes.server.paused,
        "queues": host.assignment.queues if host.assignment else [],
        "labels": host.assignment.labels if host.assignment else {},
        "capacity": host.assignment.capacity if host.assignment else {},
        "jobs": session.running,
        "spool_bytes": session.spool_bytes,
        "attempts": [_attempt(key, attempt) for key, attempt in session.attempts.items()],
        "pid": os.getpid(),
        "version": __version__,
        "protocol": PROTOCOL_VERSION,
    }


def _attempt(key: AttemptId, attempt: Attempt) -> dict[str, Any]:
    # One that was settled and is told again to a server that forgot it has no specification.
    spec = attempt.spec
    return {
        "job": key.job,
        "attempt": key.number,
        "name": spec.name if spec else None,
        "queue": spec.queue if spec else None,
        "phase": attempt.phase.value if attempt.phase else "offered",
        "size": attempt.cursor.size,
        "acked": attempt.cursor.acked,
        "pid": attempt.started.pid if attempt.started else None,
        "started_at": attempt.started.at if attempt.started else None,
        "exit_code": attempt.ended.exit_code if attempt.ended else None,
    }
