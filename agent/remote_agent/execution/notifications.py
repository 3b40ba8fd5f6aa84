"""Notifications of shims: datagrams about an attempt. May touch the socket for them.

They only make the agent fast: what is on the disk is the truth, and is looked at where none comes.
Any may be lost or doubled, and forged by who can write to the state directory, who could forge the
records in it, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from remote_agent.journal.directory import ended_from
from remote_agent.journal.end_records import KnownEnd, end_of
from remote_agent.processes import DatagramSocket, Folder
from remote_protocol.attempt_id import AttemptId

FILE: Final = "agent.sock"
_LARGEST_LOG: Final = 1 << 50
_LARGEST_PID: Final = 1 << 32
_LATEST: Final = 1e11
"""Seconds since 1970 that a calendar still has (`parts.Seconds`)."""
_AT_ONCE: Final = 256
"""Notifications taken before other things of the loop get their turn."""


class Notification(NamedTuple):
    """What a shim says: `started`, `grew` with `size`, or `ended`; the first one with `pid` and
    `at`."""

    key: AttemptId
    what: str
    size: int = 0
    pid: int = 0
    at: float = 0.0
    record: dict[str, Any] | None = None
    """With `ended`: the exit record that the disk did not take."""
    written: bytes = b""
    """With `ended`: what is in the exit record on the disk; empty where that must be read."""

    def end(self, started: bool) -> KnownEnd | None:
        """The end that it brings of an attempt, which has `started` as far as is known; None when
        there is none, or it must be looked up."""
        if self.what != "ended":
            return None
        if self.record is not None:
            with suppress(ValidationError):
                return KnownEnd(ended_from(self.key, self.record))
        return end_of(self.key, self.written) if started and self.written else None


def parse(data: bytes) -> Notification | None:
    """The notification in a datagram; None when it is none."""
    try:
        head, _, written = data.partition(b"\n")
        body = from_json(head)
        note = Notification(
            AttemptId.parse(body["k"]),
            str(body["e"]),
            int(body.get("size", 0)),
            int(body.get("pid", 0)),
            float(body.get("at", 0.0)),
            body.get("record"),
            written,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    _, _, size, pid, at, record, _ = note
    sensible = (
        0 <= size < _LARGEST_LOG
        and 0 <= pid < _LARGEST_PID
        and 0 <= at < _LATEST
        and (record is None or isinstance(record, dict))
    )
    return note if sensible else None


class NotificationSocket:
    """Listens for notifications of shims."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._socket: DatagramSocket | None = None

    def open(self, heard: Callable[[Notification], None]) -> None:
        """Listen, in place of what a former agent left, and give each one to `heard`. OSError
        when that is impossible."""
        with Folder(self._state_dir, follow=True) as folder:
            self._socket = DatagramSocket(folder.near(FILE), private=True)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read, heard)

    def close(self) -> None:
        """Stop listening; shims go on without."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _read(self, heard: Callable[[Notification], None]) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                data = self._socket.receive()
            except BlockingIOError:
                return
            note = parse(data)
            if note is not None:
                heard(note)
