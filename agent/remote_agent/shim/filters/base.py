"""What a filter is: bytes of a job's output go in, and what may be kept comes out. Pure.

Each stream of an attempt has its own. What a filter holds back between two reads, because it
cannot tell yet, comes out at the end. The cap, the spool, the sizes and the checksum see only what
a filter has let through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from remote_protocol.cri import STDERR, STDOUT


class Filter(Protocol):
    """Changes one stream of a job's output. It must hold back little, and never raise: an error
    costs the attempt, for output that should have been changed must not be kept as it is."""

    def feed(self, data: bytes) -> bytes:
        """What comes out after the next piece of the stream, which is never empty."""

    def flush(self) -> bytes:
        """What is left when the stream has ended."""


class Filters:
    """The filters of one attempt. One that its job talks to while it runs gives `source`."""

    source: int | None = None
    """What a `Poller` takes, once it is open: the job has said something, `attend` to it."""
    given = True
    """Whether it was given something that the memory of no other attempt may be shared with."""
    fault = ""
    """Why the job must not go on, in words; nothing comes out any more then."""

    def __init__(self, make: Callable[[], Filter]) -> None:
        self._make = make
        self._streams = {stream: make() for stream in (STDOUT, STDERR)}
        self.notes: list[str] = []
        """Sentences for the job's timeline; who has noted them takes them out."""

    def open(self) -> None:
        """Called once, before the job starts. SpawnFailed when it must not."""

    def attend(self) -> None:
        """Take what the job has said."""

    def feed(self, data: bytes, stream: bytes) -> bytes:
        """What comes out of a stream after its next piece."""
        return self._streams[stream].feed(data)

    def flush(self, stream: bytes) -> bytes:
        """What is left of a stream at its end."""
        return self._streams[stream].flush()

    def whole(self, data: bytes) -> bytes:
        """What comes out of bytes of the job that belong to no stream: they are all there is."""
        alone = self._make()
        return (alone.feed(data) if data else b"") + alone.flush()

    def close(self) -> None:
        """Give back what `open` has taken."""
