"""The job's standard input: bytes go from the attempt's files into the job's pipe as they come.

A payload that came with the order goes first. The agent appends to the file while the job runs,
and notes the size when it is complete; only then the pipe is closed. A job that does not read, or
closes its end, is no fault. The offset of what the pipe has taken is all the state there is, and it
lives as long as the job. Touches `input` and `input.end` in the attempt's directory, and the pipe.
"""

from __future__ import annotations

import os
from typing import Final

from remote_agent.processes import READ, Folder, Poller, read_at
from remote_agent.shim.layout import INPUT, INPUT_END
from remote_agent.shim.record import read_record

CHECK_EVERY: Final = 1.0
"""Seconds between two looks at the file while no agent tells that it grew."""
_PIECE: Final = 256 * 1024


class Feed:
    """Feeds one job through `pipe` of `poller`: the payload, then, when it is `streamed`, what
    comes into the file."""

    def __init__(
        self, directory: Folder, poller: Poller, pipe: int, payload: bytes, streamed: bool
    ) -> None:
        self._directory = directory
        self._poller = poller
        self._pipe: int | None = pipe
        self._payload = memoryview(payload)
        self._streamed = streamed
        self._file = -1
        self._buffer = memoryview(bytearray(_PIECE if streamed else 0))
        self._waits_for_room = False
        self.offset = 0
        """Bytes that the pipe has taken."""
        self.outcome = ""
        """What became of the input, in words, once the pipe is closed."""
        self.check_at: float | None = 0.0
        """When to look again without being woken, in monotonic seconds; None for never."""

    @property
    def pipe(self) -> int | None:
        """The pipe, as its poller names it; None once it is closed."""
        return self._pipe

    def go_on(self, now: float) -> None:
        """There may be more bytes in the file, or room in the pipe."""
        if self._pipe is not None:
            self._step(self._pipe, now)

    def tick(self, now: float) -> None:
        """Look at the file if it is time to."""
        if self.check_at is not None and now >= self.check_at:
            self.go_on(now)

    def close(self) -> None:
        """Close pipe and file."""
        if self._pipe is not None:
            self._wait_for_room(False)
            self._poller.close(self._pipe)
            self._pipe = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.check_at = None

    def _step(self, pipe: int, now: float) -> None:
        """Move one piece, or wait for what is lacking: room in the pipe, or bytes in the file."""
        self.check_at = now + CHECK_EVERY
        if not self._poller.idle(pipe):
            return
        try:
            piece = self._read()
            if piece:
                self.offset += self._poller.write(pipe, piece)
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
            self.check_at = None

    def _read(self) -> memoryview:
        if self.offset < len(self._payload):
            return self._payload[self.offset : self.offset + _PIECE]
        if not self._streamed:
            return self._buffer
        if self._file < 0:
            try:
                self._file = self._directory.open(INPUT, READ)
            except FileNotFoundError:
                return self._buffer[:0]
        return self._buffer[: read_at(self._file, self._buffer, self.offset - len(self._payload))]

    def _complete(self) -> bool:
        fed = self.offset - len(self._payload)
        if fed < 0 or not self._streamed:
            return fed == 0
        try:
            record = read_record(self._directory, INPUT_END)
        except OSError:
            return False
        return record is not None and record.get("size") == fed

    def _finish(self, outcome: str) -> None:
        self.close()
        self.outcome = outcome

    def _wait_for_room(self, wanted: bool) -> None:
        if self._pipe is None or wanted == self._waits_for_room:
            return
        self._waits_for_room = wanted
        if wanted:
            self._poller.add(self._pipe)
        else:
            self._poller.drop(self._pipe)
