"""Waits until an agent that was just started is connected, or knows why it is not.

Asks the service manager and the agent's control socket.
"""

from __future__ import annotations

import time
from typing import Any, Final

from remote_agent.errors import AgentError
from remote_agent.local.control import ask
from remote_agent.service.calling import one_line
from remote_agent.service.port import ServicePort

DEADLINE: Final = 30.0
"""Seconds from the start to the first connection, on a slow host."""
_LOOK: Final = 0.2
_CRASHES: Final = 2
"""Starts of the service manager's own after which the cause is not a passing one."""


def wait_until_online(port: ServicePort, deadline: float = DEADLINE) -> dict[str, Any]:
    """The status of the agent once it is online. AgentError names what keeps it from that; the
    service is left as it is, and goes on trying."""
    ends = time.monotonic() + deadline
    restarts = port.state().restarts
    status: dict[str, Any] = {}
    while time.monotonic() < ends:
        state = port.state()
        status = _status(port, state.pid)
        if status.get("connected_seconds") is not None:
            return status
        if state.active == "failed" or state.restarts - restarts >= _CRASHES:
            raise AgentError(f"the service ends again and again: {_cause(port, status)}")
        if state.ended:
            raise AgentError(
                f"the service has ended, and is not started again: {_cause(port, status)}"
            )
        time.sleep(_LOOK)
    state = port.state()
    raise AgentError(
        f"the service is {state.active}, but not online after {deadline:g} s: "
        f"{_cause(port, status) or state.words}; it goes on trying (remote-agent doctor tells more)"
    )


def _status(port: ServicePort, pid: int) -> dict[str, Any]:
    """That of the process which the service manager has started, not of one before it."""
    try:
        status = ask(port.state_dir, {"do": "status"})
    except AgentError:
        return {}
    return status if status.get("pid") == pid else {}


def _cause(port: ServicePort, status: dict[str, Any]) -> str:
    if status.get("link_failure"):
        return one_line(status["link_failure"])
    found = port.complaints()
    return found[-1] if found else port.state().words or "its log does not say why"
