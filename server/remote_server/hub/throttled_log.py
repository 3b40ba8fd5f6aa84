"""Log lines that an agent can cause as often as it likes: a few of each kind for each agent.

Writes log lines, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from remote_server.throttle import Throttle

QUIET: Final = 5.0
"""Seconds between two log lines of a kind about one agent."""


class ThrottledLog:
    """Writes what agents cause, throttled for each agent and kind."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._throttle = Throttle(QUIET)

    def write(self, method: Callable[..., Any], event: str, agent: str, **values: object) -> bool:
        """Write a line by one of a logger's methods, or count it as left out; whether it was
        written."""
        left_out = self._throttle.take((event, agent), self._clock())
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            method(event, agent=agent, **values, **more)
        return left_out is not None
