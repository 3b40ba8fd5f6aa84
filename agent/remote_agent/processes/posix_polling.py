"""Waiting for several things at once, and the pipes of a job: poll(2) and pipe(2) (POSIX)."""

from __future__ import annotations

import fcntl
import os
import select
from contextlib import suppress
from typing import Final

from remote_agent.processes.memory import keep_freed_memory

_PIPE_SIZE: Final = 1 << 20
_BUSY: Final = 1 << 14
"""Bytes in a pipe that is worth being large: that takes memory and a system call."""
_F_SETPIPE_SZ: Final = 1031
"""fcntl(2) on Linux; elsewhere an unknown command, and the pipe stays as small as it is."""


class Poller:
    """Waits until one of its sources has something: pipes that it made, and what others call
    their `waitable`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._inputs: set[int] = set()
        self._large: set[int] = set()
        self._ended: set[int] = set()
        """Pipes that nobody can write to any more, and that are empty."""

    def pipe(self) -> tuple[int, int]:
        """A pipe, large once it is needed: the end to `read`, and the one to hand to a job and to
        close then."""
        return os.pipe()

    def input_pipe(self) -> tuple[int, int]:
        """A large pipe the other way: the end to `write`, and the one to hand to a job and to
        close then. It is a source, too: it has room."""
        end, pipe = os.pipe()
        _enlarge(pipe)
        os.set_blocking(pipe, False)
        self._inputs.add(pipe)
        return pipe, end

    def add(self, source: int) -> None:
        """Wait for this one too."""
        self._poll.register(source, select.POLLOUT if source in self._inputs else select.POLLIN)

    def drop(self, source: int) -> None:
        """Do not wait for it any more."""
        self._poll.unregister(source)

    def wait(self, milliseconds: float | None) -> list[int]:
        """The sources that have something, after so long at the most; None: however long."""
        found = []
        for source, events in self._poll.poll(milliseconds):
            if events == select.POLLHUP:
                self._ended.add(source)
            found.append(source)
        return found

    def read(self, pipe: int, size: int) -> bytes:
        """Up to `size` bytes of a pipe for which `wait` has woken; empty at its end."""
        if pipe in self._ended:
            return b""
        data = os.read(pipe, size)
        if len(data) >= _BUSY and pipe not in self._large:
            self._large.add(pipe)
            _enlarge(pipe)
            keep_freed_memory()
        return data

    def idle(self, pipe: int) -> bool:
        """Whether all that was written is in the pipe."""
        return True

    def write(self, pipe: int, data: memoryview) -> int:
        """Write some of it into an idle one; how many bytes were taken. BrokenPipeError when
        nobody can read them any more."""
        try:
            return os.write(pipe, data)
        except BlockingIOError:
            return 0

    def close(self, pipe: int) -> None:
        """Close a pipe, which must not be waited for."""
        self._inputs.discard(pipe)
        self._large.discard(pipe)
        self._ended.discard(pipe)
        os.close(pipe)


def _enlarge(pipe: int) -> None:
    with suppress(OSError):  # above the user's share of pipe memory (pipe(7))
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_SIZE)


close_end = os.close
"""Close the end of a pipe that was handed to a job."""
