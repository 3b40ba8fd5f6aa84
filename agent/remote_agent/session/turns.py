"""Whose log is sent next: attempt by attempt in turns, each within the window. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from remote_agent.session.attempt import HeldAttempt
from remote_agent.session.send_window import SendWindow
from remote_protocol.attempt_id import AttemptId


class Piece(NamedTuple):
    """Log bytes to send next."""

    attempt: HeldAttempt
    offset: int
    length: int


class Turns:
    """The attempts with something to send, in the order of their turns."""

    def __init__(self) -> None:
        self._window = SendWindow()
        self._waiting: dict[AttemptId, None] = {}

    def restart(self) -> None:
        """Another link: nothing is known of it."""
        self._window.restart()

    def join(self, attempt: HeldAttempt) -> bool:
        """The attempt takes its turns from now on if it has something to send; whether it did not
        before."""
        key = attempt.key
        if key in self._waiting or not attempt.sends:
            return False
        if not attempt.cursor.next_chunk(self._window.size)[1]:
            return False
        self._waiting[key] = None
        return True

    def take(self, held: Mapping[AttemptId, HeldAttempt]) -> Piece | None:
        """What to send next of those that are `held`; None when there is nothing."""
        while self._waiting:
            key = next(iter(self._waiting))
            del self._waiting[key]
            attempt = held.get(key)
            if attempt is None:
                continue
            offset, length = attempt.cursor.next_chunk(self._window.size)
            if length and attempt.sends:
                self._waiting[key] = None
                return Piece(attempt, offset, length)
        return None

    def sent(self, attempt: HeldAttempt, length: int, now: float) -> None:
        """So many bytes at its cursor are on the link."""
        attempt.cursor.advance(length)
        if length:
            self._window.sent(attempt.key, attempt.cursor.sent, now)

    def acknowledged(self, key: AttemptId, offset: int, now: float) -> None:
        """The server has all of a log before `offset`."""
        self._window.acknowledged(key, offset, now)

    def rewound(self, key: AttemptId) -> None:
        """No acknowledgement comes for what was sent of this log."""
        self._window.forget(key)

    def leave(self, key: AttemptId) -> None:
        """Nothing of this attempt is sent any more."""
        self._waiting.pop(key, None)
        self._window.forget(key)
