"""One attempt's artifacts on their way, a file at a time: what to say and to send next. Pure.

    waiting → hashing → ready → announced → sending → complete or failed, then the next file

The server's answer to an announcement says from where on it wants the file: so a lost link, or a
restart of either side, costs what was in flight and no more.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.limits import ARTIFACT_WINDOW
from remote_protocol.messages import Artifact, ArtifactAck, ArtifactLost
from remote_protocol.stream import Cursor

UNANSWERED: Final = 60.0
"""Seconds without an answer after which a file is announced again."""
MOST_ROUNDS: Final = 3
"""Times that a file is sent whole whose content the server finds to be another."""


class FileToSend(NamedTuple):
    """A file of an attempt."""

    number: int
    name: str
    size: int


class Stage(Enum):
    """How far the present file is."""

    WAITING = auto()
    HASHING = auto()
    READY = auto()
    """It can be announced, or given up in words."""
    ANNOUNCED = auto()
    SENDING = auto()
    DONE = auto()
    """There is no file any more."""


class ArtifactUpload:
    """The files of one attempt, in their order. `now` is monotonic seconds."""

    def __init__(self, key: AttemptId, files: list[FileToSend]) -> None:
        self.key = key
        self._files = files[::-1]
        self.stage = Stage.WAITING if files else Stage.DONE
        self.cursor = Cursor()
        self._checksum = ""
        self._fault = ""
        self._rounds = 0
        self._heard_at = 0.0
        self.moved = 0
        """Counts answers that brought it on."""

    @property
    def file(self) -> FileToSend:
        """The present one."""
        return self._files[-1]

    def hashing(self) -> None:
        """Its checksum is being made."""
        self.stage = Stage.HASHING

    def hashed(self, checksum: str) -> None:
        """Its checksum is known."""
        self._checksum, self.stage = checksum, Stage.READY

    def give_up(self, why: str) -> None:
        """It cannot be sent."""
        self._fault, self.stage = why, Stage.READY

    def disconnected(self) -> None:
        """The link is gone: what was in flight may be lost."""
        if self.stage in (Stage.ANNOUNCED, Stage.SENDING):
            self.stage = Stage.READY

    def announce(self, now: float) -> Artifact | ArtifactLost:
        """What to say of the present file, which is ready."""
        self.stage, self._heard_at = Stage.ANNOUNCED, now
        number, name, size = self.file
        if self._fault:
            return ArtifactLost(attempt=self.key, number=number, name=name, reason=self._fault)
        return Artifact(
            attempt=self.key, number=number, name=name, size=size, checksum=self._checksum
        )

    def check(self, now: float) -> None:
        """Have it be announced again, if the server has not answered for long."""
        waits = self.stage in (Stage.ANNOUNCED, Stage.SENDING)
        if waits and now - self._heard_at > UNANSWERED:
            self.stage = Stage.READY

    def next_chunk(self) -> tuple[int, int]:
        """`(offset, length)` of the bytes to send next; the length is 0 when there are none."""
        if self.stage is not Stage.SENDING:
            return 0, 0
        return self.cursor.next_chunk(ARTIFACT_WINDOW)

    def answered(self, ack: ArtifactAck, now: float) -> None:
        """The server says what it has. RemoteProtocolError when it has more than there is."""
        if self.stage not in (Stage.ANNOUNCED, Stage.SENDING) or ack.number != self.file.number:
            return
        if ack.state is not ArtifactState.UPLOADING:
            self._next()
            return
        if ack.offset > self.file.size:
            raise RemoteProtocolError(
                f"acknowledged {ack.offset} bytes of an artifact of {self.file.size}"
            )
        self._heard_at = now
        if self.stage is Stage.ANNOUNCED:
            if ack.again:
                self.cursor = Cursor(self.file.size, ack.offset, ack.offset)
                self.stage = Stage.SENDING
        elif not ack.again:
            self.moved += ack.offset > self.cursor.acked
            self.cursor.ack(ack.offset)
        elif not ack.offset and self.cursor.sent == self.file.size:
            # All of it was there, and its checksum was another one: it has changed.
            self._rounds += 1
            self.stage = Stage.WAITING
            if self._rounds == MOST_ROUNDS:
                self.give_up("its content changed while it was sent")
        else:
            self.cursor.rewind(ack.offset)

    def _next(self) -> None:
        self._files.pop()
        self._checksum = self._fault = ""
        self._rounds = 0
        self.moved += 1
        self.cursor = Cursor()
        self.stage = Stage.WAITING if self._files else Stage.DONE
