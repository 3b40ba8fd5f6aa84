"""Sends the artifacts of settled attempts, after all output of jobs. Reads their files.

Some attempts at a time, a chunk of each in turn. What is left when the agent ends is found on the
disk by the next one. A file's checksum is made in a thread; else nothing here waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from remote_agent.processes import SCARCE, read_at
from remote_agent.session.artifact_upload import ArtifactUpload, FileToSend, Stage
from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import encode_artifact
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.messages import AgentMessage, ArtifactAck

log = structlog.get_logger("artifacts")

AT_ONCE: Final = 4
"""Attempts whose files are under way."""
GIVE_UP: Final = 3600
"""Turns of about a second, with a link, in which nothing of an attempt comes on: then it is
dropped."""
_PIECE: Final = 1 << 20


class Files(Protocol):
    """Where they are (`journal.artifacts.ArtifactFiles`)."""

    def files(self, key: AttemptId) -> Sequence[tuple[int, str, int]]:
        """Number, name and size of each of an attempt. OSError."""

    def open(self, key: AttemptId, name: str) -> int:
        """A descriptor of one. OSError."""

    def done(self, key: AttemptId) -> None:
        """Nothing more of the attempt is sent. OSError."""


class ArtifactSender:
    """All artifacts that wait. `wake` has the uploader look here again."""

    def __init__(
        self,
        files: Files,
        send: Callable[[AgentMessage], None],
        write: Callable[[memoryview], bool],
        wake: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._send = send
        self._write = write
        self._wake = wake
        self._now = now
        self._uploads: dict[AttemptId, ArtifactUpload] = {}
        """Those under way, in the order of their turns."""
        self._waiting: dict[AttemptId, None] = {}
        self._open: dict[AttemptId, int] = {}
        self._idle: dict[AttemptId, tuple[int, int]] = {}
        """How far each was when it last came on, and the turns since."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._online = False
        self._closed = False

    @property
    def pending(self) -> int:
        """Attempts of which something is to be sent."""
        return len(self._uploads) + len(self._waiting)

    def add(self, key: AttemptId) -> None:
        """An attempt was settled, and has some."""
        if key not in self._uploads:
            self._waiting[key] = None
            self._fill()

    def begin(self) -> None:
        """There is a link, and the server has welcomed it."""
        self._online = True
        for upload in list(self._uploads.values()):
            self._advance(upload)
        self._fill()

    def stop(self) -> None:
        """There is no link."""
        self._online = False
        for upload in self._uploads.values():
            upload.disconnected()

    def close(self) -> None:
        """The agent ends; what is left is sent by the next one."""
        self._closed = True
        for key in list(self._open):
            self._let_go(key)

    def turn(self) -> None:
        """About a second went by."""
        now = self._now()
        for key, upload in list(self._uploads.items()):
            upload.check(now)
            self._advance(upload)
            if not self._online:
                continue
            moved, turns = self._idle.get(key, (-1, 0))
            turns = turns + 1 if moved == upload.moved else 0
            self._idle[key] = upload.moved, turns
            if turns > GIVE_UP:
                log.error("artifacts are given up: the server takes nothing", attempt=str(key))
                self._finish(key)
        self._fill()

    def answered(self, ack: ArtifactAck) -> None:
        """The server says what it has of one."""
        upload = self._uploads.get(ack.attempt)
        if upload is None:
            return
        if ack.state is ArtifactState.FAILED and upload.stage is not Stage.DONE:
            log.warning(
                "an artifact is not sent",
                attempt=str(ack.attempt),
                number=ack.number,
                reason=ack.detail,
            )
        before = upload.stage
        try:
            upload.answered(ack, self._now())
        except RemoteProtocolError as error:
            upload.give_up(f"the server has misunderstood it: {error}")
        if upload.stage is not Stage.SENDING or before is not Stage.SENDING:
            self._let_go(ack.attempt)
        self._advance(upload)
        self._wake()

    def step(self) -> bool:
        """Send a chunk, if one may be sent; whether it was."""
        for key, upload in list(self._uploads.items()):
            offset, length = upload.next_chunk()
            if not length:
                continue
            data = self._read(upload, offset, length)
            if data is None:
                self._advance(upload)
                continue
            frame = encode_artifact(key, upload.file.number, offset, data)
            if not self._write(memoryview(frame)):
                return False
            upload.cursor.advance(len(data))
            # The one that was sent last comes last.
            self._uploads[key] = self._uploads.pop(key)
            return True
        return False

    # Attempts and files ------------------------------------------------------------------

    def _fill(self) -> None:
        """Begin with attempts that wait, while there is room."""
        while self._waiting and len(self._uploads) < AT_ONCE and not self._closed:
            key = next(iter(self._waiting))
            del self._waiting[key]
            try:
                listed = [FileToSend(*file) for file in self._files.files(key)]
            except OSError as error:
                log.warning("artifacts cannot be sent", attempt=str(key), reason=error.strerror)
                listed = []
            upload = self._uploads[key] = ArtifactUpload(key, listed)
            self._advance(upload)

    def _advance(self, upload: ArtifactUpload) -> None:
        """Do what the stage of an attempt wants done."""
        if upload.stage is Stage.DONE:
            self._finish(upload.key)
        elif upload.stage is Stage.WAITING:
            upload.hashing()
            task = asyncio.ensure_future(self._hash(upload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif upload.stage is Stage.READY and self._online:
            self._send(upload.announce(self._now()))

    def _finish(self, key: AttemptId) -> None:
        self._uploads.pop(key, None)
        self._idle.pop(key, None)
        self._let_go(key)
        try:
            self._files.done(key)
        except OSError as error:
            log.error("sent artifacts cannot be removed", attempt=str(key), reason=error.strerror)
        self._fill()

    async def _hash(self, upload: ArtifactUpload) -> None:
        key, file = upload.key, upload.file
        try:
            upload.hashed(await asyncio.to_thread(self._checksum, key, file))
        except OSError as error:
            if error.errno in SCARCE:
                upload.stage = Stage.WAITING  # for its next turn
                return
            upload.give_up(error.strerror or "it cannot be read")
        if self._uploads.get(key) is upload and not self._closed:
            self._advance(upload)

    def _checksum(self, key: AttemptId, file: FileToSend) -> str:
        """In a thread. OSError, also when it has another size than it had."""
        digest, left = hashlib.sha256(), file.size
        descriptor = self._files.open(key, file.name)
        try:
            while piece := os.read(descriptor, _PIECE):
                digest.update(piece)
                left -= len(piece)
                if left < 0 or self._closed:
                    break
        finally:
            os.close(descriptor)
        if left:
            raise OSError(0, "its size has changed since its job ended")
        return digest.hexdigest()

    def _read(self, upload: ArtifactUpload, offset: int, length: int) -> bytes | None:
        """A piece of the present file; None when it cannot be had."""
        key = upload.key
        buffer = bytearray(length)
        try:
            if key not in self._open:
                self._open[key] = self._files.open(key, upload.file.name)
            read = read_at(self._open[key], memoryview(buffer), offset)
        except OSError as error:
            upload.give_up(error.strerror or "it cannot be read")
            return None
        if read < length:
            upload.give_up("its size has changed since its job ended")
            return None
        return bytes(buffer)

    def _let_go(self, key: AttemptId) -> None:
        descriptor = self._open.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)
