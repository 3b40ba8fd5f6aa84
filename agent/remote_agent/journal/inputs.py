"""The copies of jobs' inputs in their attempts' directories: appended, ended, measured.

The shim reads a copy while it grows and is told of each piece; it also looks by itself. Nothing is
forced to the disk: what a power loss could take belongs to an attempt that is lost with its host.
Touches the files `input` and `input.end` of attempts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path

import structlog

from remote_agent.processes import KEEP, READ, Folder, write_at
from remote_agent.session.input_copy import InputCopy
from remote_agent.shim.launcher_client import tell
from remote_agent.shim.layout import INPUT, INPUT_END
from remote_agent.shim.record import read_record, write_record
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("inputs")


class InputFiles:
    """Writes the copies. `path` gives an attempt's directory; `reserve` is the free space of the
    disk, in bytes, below which nothing is written."""

    def __init__(self, path: Callable[[AttemptId], Path], reserve: int) -> None:
        self._path = path
        self.reserve = reserve
        self._waiting: set[AttemptId] = set()

    def append(self, key: AttemptId, offset: int, payload: memoryview) -> bool:
        """Write a piece at `offset`, the end of the copy; False when the disk does not take it."""
        directory = self._path(key)
        try:
            with Folder(directory) as folder:
                if folder.free() < self.reserve:
                    raise OSError(ENOSPC, "the disk is filled down to its reserve")
                descriptor = folder.open(INPUT, KEEP)
                try:
                    while payload:
                        written = write_at(descriptor, payload, offset)
                        payload, offset = payload[written:], offset + written
                finally:
                    os.close(descriptor)
        except OSError as error:
            return self._refused(key, error)
        self._waiting.discard(key)
        tell(directory, {"do": "input"})
        return True

    def end(self, key: AttemptId, size: int) -> bool:
        """Note that the copy is complete; False when the disk does not take it."""
        directory = self._path(key)
        try:
            with Folder(directory) as folder:
                write_record(folder, INPUT_END, {"size": size})
        except OSError as error:
            return self._refused(key, error)
        self._waiting.discard(key)
        tell(directory, {"do": "input"})
        return True

    def forget(self, key: AttemptId) -> None:
        """The attempt is over."""
        self._waiting.discard(key)

    def _refused(self, key: AttemptId, error: OSError) -> bool:
        if key not in self._waiting:
            self._waiting.add(key)
            log.warning(
                "the input of a job waits: the disk does not take it",
                attempt=str(key),
                reason=error.strerror,
            )
        return False


def measure(directory: Path) -> InputCopy:
    """How far the copy in an attempt's directory has come; nothing where there is none, or what a
    job has put in its place."""
    try:
        with Folder(directory) as folder:
            descriptor = folder.open(INPUT, READ)
            try:
                size = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
            record = read_record(folder, INPUT_END)
    except OSError:
        return InputCopy()
    return InputCopy(size, ended=record is not None and record.get("size") == size)
