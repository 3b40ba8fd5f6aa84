"""Waiting for several things at once, and the pipes of a job: overlapped I/O (Windows).

One read of each pipe is under way while it is waited for, and none otherwise: so a job whose
output has no room waits in its write, and memory stays bounded. Of each pipe at most one write is
under way.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import _winapi
import math
import os
from itertools import count
from typing import Final

_READ: Final = 256 * 1024
_BUFFER: Final = 256 * 1024
_REJECT_REMOTE: Final = 0x8
_PIPE_ACCESS_OUTBOUND: Final = 0x2
_NUMBERS: Final = count()


class _Pipe:
    """The reading end of a named pipe."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._under_way: _winapi.Overlapped | None = None
        self.held = b""
        self.ended = False

    @property
    def event(self) -> int | None:
        """What is signalled when the read under way is done; None: something is there."""
        if not self.held and not self.ended and self._under_way is None:
            self._begin()
        return None if self._under_way is None else self._under_way.event

    def _begin(self) -> None:
        try:
            self._under_way, _ = _winapi.ReadFile(self._handle, _READ, True)
        except BrokenPipeError:
            self.ended = True

    def finish(self) -> bool:
        """Take what the read under way has brought; False when that was nothing yet."""
        if self._under_way is None:
            return bool(self.held) or self.ended
        under_way, self._under_way = self._under_way, None
        try:
            got, _ = under_way.GetOverlappedResult(True)
        except BrokenPipeError:
            self.ended = True
            return True
        if got:
            self.held = bytes(under_way.getbuffer() or b"")
        # A job may write nothing (a zero-byte write): that is no end.
        return bool(got)

    def close(self) -> None:
        """Give up the read under way, and the pipe."""
        if self._under_way is not None:
            self._under_way.cancel()
            self._under_way = None
        _winapi.CloseHandle(self._handle)


class _InputPipe:
    """The writing end of a named pipe."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._under_way: _winapi.Overlapped | None = None
        self._broken = False

    @property
    def event(self) -> int | None:
        """What is signalled when the write under way is done; None: there is none."""
        return None if self._under_way is None else self._under_way.event

    def finish(self) -> bool:
        """See how the write under way, which is done, came out."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            try:
                under_way.GetOverlappedResult(True)
            except OSError:
                self._broken = True
        return True

    def idle(self) -> bool:
        """Whether no write is under way."""
        event = self.event
        if event is None:
            return True
        if _winapi.WaitForSingleObject(event, 0) != _winapi.WAIT_OBJECT_0:
            return False
        return self.finish()

    def write(self, data: memoryview) -> int:
        """Begin to write all of it. BrokenPipeError when the last write has failed."""
        if not self._broken:
            try:
                self._under_way, _ = _winapi.WriteFile(self._handle, bytes(data), True)
            except OSError:
                self._broken = True
        if self._broken:
            raise BrokenPipeError
        return len(data)

    def close(self) -> None:
        """Give up the write under way, and the pipe."""
        if self._under_way is not None:
            self._under_way.cancel()
            self._under_way = None
        _winapi.CloseHandle(self._handle)


class Poller:
    """Waits until one of its sources has something: pipes that it made, and what others call
    their `waitable`."""

    def __init__(self) -> None:
        self._pipes: dict[int, _Pipe | _InputPipe] = {}
        self._sources: list[int] = []

    def pipe(self) -> tuple[int, int]:
        """A large pipe: the end to `read`, and the one to hand to a job and to close then."""
        pipe, end = self._make(_winapi.PIPE_ACCESS_INBOUND, _winapi.GENERIC_WRITE)
        self._pipes[pipe] = _Pipe(pipe)
        return pipe, end

    def input_pipe(self) -> tuple[int, int]:
        """A large pipe the other way: the end to `write`, and the one to hand to a job and to
        close then. It is a source, too: it has room."""
        pipe, end = self._make(_PIPE_ACCESS_OUTBOUND, _winapi.GENERIC_READ)
        self._pipes[pipe] = _InputPipe(pipe)
        return pipe, end

    def _make(self, access: int, other: int) -> tuple[int, int]:
        name = rf"\\.\pipe\remote-agent-{os.getpid()}-{next(_NUMBERS)}-{os.urandom(8).hex()}"
        how = access | _winapi.FILE_FLAG_OVERLAPPED
        pipe = _winapi.CreateNamedPipe(
            name,
            how | _winapi.FILE_FLAG_FIRST_PIPE_INSTANCE,
            _winapi.PIPE_WAIT | _REJECT_REMOTE,
            1,
            _BUFFER,
            _BUFFER,
            _winapi.NMPWAIT_WAIT_FOREVER,
            0,
        )
        try:
            end = _winapi.CreateFile(name, other, 0, 0, _winapi.OPEN_EXISTING, 0, 0)
            _winapi.ConnectNamedPipe(pipe, overlapped=True).GetOverlappedResult(True)
        except OSError:
            _winapi.CloseHandle(pipe)
            raise
        return pipe, end

    def add(self, source: int) -> None:
        """Wait for this one too."""
        self._sources.append(source)

    def drop(self, source: int) -> None:
        """Do not wait for it any more; what a read under way still brings is kept."""
        self._sources.remove(source)

    def wait(self, milliseconds: float | None) -> list[int]:
        """The sources that have something, after so long at the most; None: however long."""
        ready = [source for source in self._sources if self._event(source) is None]
        handles = {source: event for source in self._sources if (event := self._event(source))}
        if ready or not handles:
            milliseconds = 0
        if handles:
            timeout = _winapi.INFINITE if milliseconds is None else math.ceil(milliseconds)
            ready += self._signalled(handles, timeout)
        return ready

    def _event(self, source: int) -> int | None:
        pipe = self._pipes.get(source)
        return source if pipe is None else pipe.event

    def _signalled(self, handles: dict[int, int], timeout: int) -> list[int]:
        """Those that are signalled. An event that resets itself is taken by being looked at."""
        sources, events = [*handles], [*handles.values()]
        first = _winapi.WaitForMultipleObjects(events, False, timeout) - _winapi.WAIT_OBJECT_0
        if not 0 <= first < len(events):
            return []
        woken = [sources[first]]
        for source, event in zip(sources[first + 1 :], events[first + 1 :], strict=True):
            if _winapi.WaitForSingleObject(event, 0) == _winapi.WAIT_OBJECT_0:
                woken.append(source)
        return [s for s in woken if s not in self._pipes or self._pipes[s].finish()]

    def read(self, pipe: int, size: int) -> bytes:
        """Up to `size` bytes of a pipe for which `wait` has woken; empty at its end."""
        known = self._pipes[pipe]
        assert isinstance(known, _Pipe)
        held, known.held = known.held[:size], known.held[size:]
        return held

    def idle(self, pipe: int) -> bool:
        """Whether all that was written is in the pipe."""
        known = self._pipes[pipe]
        assert isinstance(known, _InputPipe)
        return known.idle()

    def write(self, pipe: int, data: memoryview) -> int:
        """Write some of it into an idle one; how many bytes were taken. BrokenPipeError when
        nobody can read them any more."""
        known = self._pipes[pipe]
        assert isinstance(known, _InputPipe)
        return known.write(data)

    def close(self, pipe: int) -> None:
        """Close a pipe, which must not be waited for."""
        self._pipes.pop(pipe).close()


def close_end(end: int) -> None:
    """Close the end of a pipe that was handed to a job."""
    _winapi.CloseHandle(end)
