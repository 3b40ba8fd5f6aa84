"""Offset arithmetic of an attempt's log: what to send next, what to do with what came. Pure.

A log is one append-only byte sequence; a position in it is all the state there is. The sender
keeps a `Cursor`, the receiver only knows its file's length (I5). Whatever is lost, repeated or
reordered with a link, the receiver's length decides, and the sender rewinds to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from remote_protocol.errors import LocalProtocolError, RemoteProtocolError
from remote_protocol.limits import MAX_PAYLOAD, WINDOW


@dataclass(slots=True)
class Cursor:
    """Sender side of one log. Invariant: 0 ≤ acked ≤ sent ≤ size (offsets in bytes)."""

    size: int = 0
    """Bytes that exist in the spool."""
    sent: int = 0
    """Bytes handed to the link."""
    acked: int = 0
    """Bytes that the receiver has."""

    def grow(self, size: int) -> None:
        """The spool is now `size` bytes long; a smaller value is an old report."""
        if size > self.size:
            self.size = size

    def next_chunk(self, window: int = WINDOW, largest: int = MAX_PAYLOAD) -> tuple[int, int]:
        """`(offset, length)` that may be sent now; the length is 0 when nothing may."""
        unsent = self.size - self.sent
        if not unsent:
            return self.sent, 0
        room = window - (self.sent - self.acked)
        return self.sent, max(0, min(unsent, room, largest))

    def advance(self, length: int) -> None:
        """`length` bytes from `sent` were handed to the link."""
        if length < 0 or self.sent + length > self.size:
            raise LocalProtocolError(f"sent {length} bytes at {self.sent} of {self.size}")
        self.sent += length

    def ack(self, offset: int) -> None:
        """The receiver has everything before `offset`. Older acks change nothing.

        RemoteProtocolError when it claims bytes that were never written.
        """
        if offset > self.size:
            raise RemoteProtocolError(f"acknowledged {offset} of a log of {self.size} bytes")
        self.acked = max(self.acked, offset)
        self.sent = max(self.sent, self.acked)

    def rewind(self, offset: int) -> None:
        """Start again at `offset`, the receiver's length; it may lie before `acked` (I5)."""
        if not 0 <= offset <= self.size:
            raise RemoteProtocolError(f"rewound to {offset} in a log of {self.size} bytes")
        self.acked = self.sent = offset


class Append(NamedTuple):
    """The payload from `skip` on belongs at the end of the file."""

    skip: int


class Duplicate(NamedTuple):
    """Everything in the chunk had already arrived: acknowledge, write nothing."""


class Gap(NamedTuple):
    """Bytes before the chunk are missing: the sender has to rewind to `expected`."""

    expected: int


def place(length: int, offset: int, size: int) -> Append | Duplicate | Gap:
    """Where a chunk of `size` bytes at `offset` goes in a file of `length` bytes."""
    if offset > length:
        return Gap(length)
    if offset + size <= length:
        return Duplicate()
    return Append(length - offset)
