"""How many bytes of a log may be on their way at a time, by how long acknowledgements take. Pure.

What is on its way cannot be overtaken: a line of another job waits behind all of it. So the window
is no larger than what keeps the link busy. One chunk at a time is timed. While its acknowledgement
takes hardly longer than the shortest did, the window grows; when it takes longer, bytes have waited
in buffers, and the window shrinks. On a long way, where acknowledgements take a tenth of a second
by themselves, it grows to what the protocol allows.
"""

from __future__ import annotations

from math import inf
from typing import Final

from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_PAYLOAD, WINDOW

LEAST: Final = 2 * MAX_PAYLOAD
"""One chunk is on its way while the other is acknowledged."""
TOLERATED: Final = 0.003
"""Seconds that chunks may wait in buffers. On a long way half of what an acknowledgement takes: its
times vary as much."""
REMEMBERED: Final = 10.0
"""Seconds after which the shortest time is measured anew: the way may have become a longer one."""


class SendWindow:
    """That of all logs on one link."""

    __slots__ = ("_forget_at", "_next_shortest", "_shortest", "_timed", "size")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another link: nothing is known of it."""
        self.size = LEAST
        """Bytes of one log that may be sent and not acknowledged; whole chunks."""
        self._timed: tuple[AttemptId, int, float] | None = None
        """A chunk whose acknowledgement is awaited: of which log, its end, when it was sent."""
        self._shortest = self._next_shortest = inf
        self._forget_at = -inf

    def sent(self, key: AttemptId, end: int, now: float) -> None:
        """A chunk that ends there is on the link."""
        if self._timed is None:
            self._timed = key, end, now

    def acknowledged(self, key: AttemptId, offset: int, now: float) -> None:
        """The server has all of a log before `offset`."""
        if self._timed is None or self._timed[0] != key or offset < self._timed[1]:
            return
        took = now - self._timed[2]
        self._timed = None
        self._note(took, now)
        if took <= self._shortest + max(TOLERATED, self._shortest / 2):
            self.size = min(WINDOW, self.size + MAX_PAYLOAD)
        else:
            self.size = max(LEAST, self.size // 2 // MAX_PAYLOAD * MAX_PAYLOAD)

    def forget(self, key: AttemptId) -> None:
        """No acknowledgement comes for what was sent of this log."""
        if self._timed is not None and self._timed[0] == key:
            self._timed = None

    def _note(self, took: float, now: float) -> None:
        if now >= self._forget_at:
            self._forget_at = now + REMEMBERED
            self._shortest, self._next_shortest = self._next_shortest, inf
        self._next_shortest = min(self._next_shortest, took)
        self._shortest = min(self._shortest, took)
