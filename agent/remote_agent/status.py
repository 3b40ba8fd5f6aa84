"""What the running agent tells the command line about itself. Reads only."""

from __future__ import annotations

import os
from typing import Any

from remote_agent import __version__
from remote_agent.host import Host
from remote_agent.identity import Identity
from remote_protocol.limits import OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION


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
        "running": session.running,
        "spool_bytes": session.spool_bytes,
        "attempts": [_attempt(key, attempt) for key, attempt in session.attempts.items()],
        "pid": os.getpid(),
        "version": __version__,
        "protocol": [OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION],
    }


def _attempt(key: Any, attempt: Any) -> dict[str, Any]:
    return {
        "job": key.job,
        "attempt": key.attempt,
        "name": attempt.spec.name,
        "queue": attempt.spec.queue,
        "phase": attempt.phase.value if attempt.phase else "offered",
        "size": attempt.cursor.size,
        "acked": attempt.cursor.acked,
        "pid": attempt.started.pid if attempt.started else None,
        "started_at": attempt.started.at if attempt.started else None,
        "exit_code": attempt.ended.exit_code if attempt.ended else None,
    }
