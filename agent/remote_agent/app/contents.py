"""Contents of jobs, from the first job on that names one: before it, nothing of it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import ContentLost
from remote_protocol.spec import JobSpec

if TYPE_CHECKING:
    from remote_agent.execution.content_start import ContentStart
    from remote_protocol.codec import ContentChunk


class Contents:
    """Who has attempts wait for their files, made by `make` when it is needed."""

    def __init__(self, make: Callable[[], ContentStart]) -> None:
        self._make = make
        self._made: ContentStart | None = None
        self._online = False

    def prepare(self, key: AttemptId, spec: JobSpec, start: Callable[[], None]) -> None:
        """Have the attempt's files put into place, then call `start`."""
        if self._made is None:
            self._made = self._make()
            if self._online:
                self._made.begin()
        self._made.prepare(key, spec, start)

    def drop(self, key: AttemptId) -> None:
        """The attempt needs no files any more."""
        if self._made is not None:
            self._made.drop(key)

    def begin(self) -> None:
        """There is a link, and the server has welcomed it."""
        self._online = True
        if self._made is not None:
            self._made.begin()

    def stop(self) -> None:
        """There is no link."""
        self._online = False
        if self._made is not None:
            self._made.stop()

    def turn(self) -> None:
        """About a second went by."""
        if self._made is not None:
            self._made.turn()

    def received(self, chunk: ContentChunk) -> None:
        """A piece of one came."""
        if self._made is not None:
            self._made.received(chunk)

    def lost(self, message: ContentLost) -> None:
        """The server cannot give one."""
        if self._made is not None:
            self._made.lost(message)
