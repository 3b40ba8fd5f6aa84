"""What the agent's own log says while a test looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from remote_agent.log import fields_of

AgentLog = Callable[[], str]
"""Gives what the log has said since it was last asked (the fixture `agent_log`)."""


class _Kept(logging.Handler):
    def __init__(self, events: list[dict[str, Any]]) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        self._events.append({**fields_of(record), "event": record.getMessage(), "log_level": level})


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """All events of the agent and of the libraries that it loads: fields, `event`, `log_level`."""
    events: list[dict[str, Any]] = []
    root, kept = logging.getLogger(), _Kept(events)
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    try:
        yield events
    finally:
        root.setLevel(level)
        root.removeHandler(kept)


def as_text(events: list[dict[str, Any]]) -> str:
    """A line for each event, with its fields."""
    return "".join(f"{event}\n" for event in events)
