"""What the running agent answers to the command line of its host: status, environment, pause,
resume, drain.

May change the desired state; everything else is only read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from remote_agent import __version__
from remote_agent.app.driver import SessionDriver
from remote_agent.connection.identity import Identity
from remote_agent.errors import AgentError, os_words
from remote_agent.local.control import Handler
from remote_agent.local.desired_state import LocalRequest
from remote_agent.local.environment import notable
from remote_agent.processes import boottime
from remote_agent.session.attempt import HeldAttempt
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.messages import Condition


class ControlHandlers:
    """The handlers of the control socket. `jobs_run_as` is for people to read, as is `failure`:
    why the server cannot be reached."""

    def __init__(
        self,
        driver: SessionDriver,
        identity: Callable[[], Identity],
        jobs_run_as: str,
        failure: Callable[[], str],
    ) -> None:
        self._driver = driver
        self._identity = identity
        self._jobs_run_as = jobs_run_as
        self._failure = failure

    def handlers(self) -> dict[str, Handler]:
        """By the `do` of the request."""
        return {
            "status": self._status,
            "environment": self._environment,
            "pause": self._pause,
            "resume": self._resume,
            "drain": self._drain,
        }

    async def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        known = document(self._driver, self._identity(), boottime())
        return {**known, "jobs_run_as": self._jobs_run_as, "link_failure": self._failure()}

    async def _environment(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"environment": notable(os.environ)}

    async def _pause(self, request: dict[str, Any]) -> dict[str, Any]:
        comment = str(request.get("comment") or "")[:1000]
        return self._keep(self._driver.desired.local._replace(paused=True, comment=comment))

    async def _resume(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._keep(LocalRequest())

    async def _drain(self, request: dict[str, Any]) -> dict[str, Any]:
        given = request.get("deadline")
        try:
            deadline = None if given is None else float(given)
        except (TypeError, ValueError):
            raise AgentError("the deadline of a drain must be a number of seconds") from None
        local = self._driver.desired.local
        return self._keep(local._replace(draining=True, drain_deadline=deadline))

    def _keep(self, local: LocalRequest) -> dict[str, Any]:
        """Keep it durably; `condition` in the answer says what holds now, with the server's."""
        try:
            self._driver.desired.set_local(local)
        except OSError as error:
            why = os_words(error, "the state directory")
            raise AgentError(f"this cannot be kept, so nothing has changed: {why}") from None
        self._driver.reconsider()
        return {"condition": _words(self._driver.desired.condition())}


def _words(condition: Condition) -> str:
    return "taking jobs" if condition.accepting else condition.reason


def document(driver: SessionDriver, identity: Identity, now: float) -> dict[str, Any]:
    """The status as JSON-able values. `now` is by the driver's clock; secrets are left out."""
    desired, session, welcome = driver.desired, driver.session, driver.welcome
    condition, since, assignment = desired.condition(), driver.connected_at, driver.assignment
    return {
        "name": identity.name,
        "server": identity.server,
        "link": "away, trying again" if since is None else "online",
        "connected_seconds": None if since is None else round(now - since, 3),
        "epoch": None if welcome is None or since is None else welcome.epoch,
        "server_version": welcome.server_version if welcome else None,
        "heartbeat_interval": welcome.heartbeat_interval if welcome else None,
        "condition": _words(condition),
        "accepting": condition.accepting,
        "draining": condition.draining,
        "paused": desired.local.paused or desired.server.paused,
        "queues": assignment.queues if assignment else [],
        "labels": assignment.labels if assignment else {},
        "capacity": assignment.capacity if assignment else {},
        "jobs": session.running,
        "spool_bytes": session.spool_bytes,
        "attempts": [_attempt(key, attempt) for key, attempt in session.attempts.items()],
        "pid": os.getpid(),
        "version": __version__,
        "protocol": PROTOCOL_VERSION,
    }


def _attempt(key: AttemptId, attempt: HeldAttempt) -> dict[str, Any]:
    # One that was settled and is reported again to a server that forgot it has no specification.
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
