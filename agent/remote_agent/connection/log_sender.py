"""Sends the agent's own log to its server: a little at a time, after everything else. Reads it.

One batch a second at the most, and none before the server has the one before. While output of jobs
waits for the link, only every tenth second. What the server has, it says at each welcome: nothing
is kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from remote_protocol.messages import AgentMessage, OwnLog

log = structlog.get_logger("log_sender")

PATIENT: Final = 10
"""Turns that it leaves to the output of jobs before it takes one."""
UNANSWERED: Final = 60
"""Turns after which a batch without an answer is sent again."""
OFF: Final = "off"


class Readable(Protocol):
    """The agent's log (`local.log_reader.LogReader`)."""

    def read(self, cursor: str, level: str) -> tuple[list[str], str] | None:
        """The next lines and the cursor after them; None: nothing new. OSError."""


class LogSender:
    """Takes a turn about once a second. `level`: the least that is sent, or `off`."""

    def __init__(self, reader: Readable, send: Callable[[AgentMessage], None], level: str) -> None:
        self.level = level
        self._reader = reader
        self._send = send
        self._cursor: str | None = None
        """What the server has; None: it wants nothing, or there is no link."""
        self._sent: str | None = None
        """The cursor after a batch that has no answer yet."""
        self._turns = 0
        """Since it was sent, or for which jobs had the link."""
        self._failed = False

    def begin(self, cursor: str | None) -> None:
        """The server says what it has; None: nothing is sent from now on."""
        self._cursor, self._sent, self._turns = cursor, None, 0

    def stored(self, cursor: str) -> None:
        """The server has everything before `cursor`."""
        if self._cursor is not None:
            self.begin(cursor)

    def turn(self, busy: bool) -> None:
        """About a second went by; `busy`: output of jobs waits for the link."""
        if self._cursor is None or self.level == OFF:
            return
        self._turns += 1
        if self._sent is not None and self._turns < UNANSWERED:
            return
        if busy and self._turns < PATIENT:
            return
        self._turns = 0
        try:
            found = self._reader.read(self._cursor, self.level)
        except OSError as error:
            if not self._failed and not isinstance(error, FileNotFoundError):
                self._failed = True
                log.warning("the agent's own log cannot be read to be sent", reason=str(error))
            return
        if found is not None:
            lines, self._sent = found
            self._send(OwnLog(cursor=self._sent, lines=lines))
