"""The job's standard input: bytes go from the attempt's file into the job's pipe as they come.

The agent appends to the file while the job runs, and notes the size when it is complete; only then
the pipe is closed. A job that does not read, or closes its end, is no fault. The offset of what the
pipe has taken is all the state there is, and it lives as long as the job. Touches `input` and
`input.end` in the attempt's directory, and the pipe.
"""

from __future__ import annotations

import os
from typing import Final

from remote_agent.processes import READ, Folder, Poller, read_at
from remote_agent.shim.layout import INPUT, INPUT_END
from remote_agent.shim.record import read_record

LOOK: Final = 1.0
"""Seconds between two looks at the file while nobody says that it grew."""
_PIECE: Final = 256 * 1024


class Feed:
    """Feeds one job through `inlet`, a pipe of `waiter`."""

    def __init__(self, directory: Folder, waiter: Poller, inlet: int) -> None:
        self._directory = directory
        self._waiter = waiter
        self._inlet: int | None = inlet
        self._file = -1
        self._buffer = memoryview(bytearray(_PIECE))
        self._waits_for_room = False
        self.offset = 0
        """Bytes that the pipe has taken."""
        self.outcome = ""
        """What became of the input, in words, once the pipe is closed."""
        self.look_at: float | None = 0.0
        """When to look again without being woken, in monotonic seconds; None for never."""

    @property
    def inlet(self) -> int | None:
        """The pipe, as its waiter names it; None once it is closed."""
        return self._inlet

    def go_on(self, now: float) -> None:
        """There may be more bytes in the file, or room in the pipe."""
        if self._inlet is not None:
            self._step(self._inlet, now)

    def tick(self, now: float) -> None:
        """Look at the file if it is time to."""
        if self.look_at is not None and now >= self.look_at:
            self.go_on(now)

    def close(self) -> None:
        """Let go of pipe and file."""
        if self._inlet is not None:
            self._wait_for_room(False)
            self._waiter.close(self._inlet)
            self._inlet = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.look_at = None

    def _step(self, inlet: int, now: float) -> None:
        """Move one piece, or wait for what is lacking: room in the pipe, or bytes in the file."""
        self.look_at = now + LOOK
        if not self._waiter.idle(inlet):
            return
        try:
            piece = self._read()
            if piece:
                self.offset += self._waiter.write(inlet, piece)
        except BrokenPipeError:
            self._finish(f"the job closed its standard input; {self.offset} bytes were sent to it")
            return
        except OSError:
            # A disk that cannot be read now: tried again with the next look.
            piece = self._buffer[:0]
        if not piece and self._complete():
            self._finish(f"{self.offset} bytes")
            return
        self._wait_for_room(bool(piece))
        if piece:
            self.look_at = None

    def _read(self) -> memoryview:
        if self._file < 0:
            try:
                self._file = self._directory.open(INPUT, READ)
            except FileNotFoundError:
                return self._buffer[:0]
        return self._buffer[: read_at(self._file, self._buffer, self.offset)]

    def _complete(self) -> bool:
        try:
            record = read_record(self._directory, INPUT_END)
        except OSError:
            return False
        return record is not None and record.get("size") == self.offset

    def _finish(self, outcome: str) -> None:
        self.close()
        self.outcome = outcome

    def _wait_for_room(self, wanted: bool) -> None:
        if self._inlet is None or wanted == self._waits_for_room:
            return
        self._waits_for_room = wanted
        if wanted:
            self._waiter.add(self._inlet)
        else:
            self._waiter.drop(self._inlet)
