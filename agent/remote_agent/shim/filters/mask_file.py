"""The mask file: by it a job names values that must not be seen in its log, one a line.

It is a FIFO, made by the agent: what is written to it is in the kernel's memory until it is read
here, and never on a disk. It is open here for writing, too, so that writers never wait for a reader
and it never ends.
"""

from __future__ import annotations

import os
from typing import Final

from remote_agent.processes import open_fifo
from remote_protocol.units import plain_size

MOST_VALUES: Final = 1_000
"""Lines that a job may write at the most, and pieces of lines."""
MOST_BYTES: Final = 256 << 10
"""Bytes that it may write at the most."""
_STEP: Final = 1 << 16
_LONG: Final = 1 << 14
"""Bytes of a line without its end that count as a value more, each time that it is given."""


class MaskFileFull(Exception):
    """The job has written more than it may; the text is a sentence."""


class MaskFile:
    """The open mask file at `path`. OSError when it is none."""

    def __init__(self, path: str) -> None:
        self.source = open_fifo(path)
        """What a `Poller` takes."""
        self._line = b""
        self._values = 0
        self._bytes = 0

    def read(self) -> list[bytes]:
        """What has been written up to now, line by line. A line whose end has not come yet is given
        as it is, and again when it is longer: nobody knows whether more will come.

        MaskFileFull, and then nothing more is read.
        """
        found: list[bytes] = []
        while data := self._read():
            self._bytes += len(data)
            *lines, self._line = (self._line + data).split(b"\n")
            found += lines
            self._values += len(lines)
            if self._bytes > MOST_BYTES:
                raise self._full(plain_size(MOST_BYTES))
            if self._line:
                found.append(self._line)
                self._values += 1 + len(self._line) // _LONG
            if self._values > MOST_VALUES:
                raise self._full(f"{MOST_VALUES:,} values")
        return [value for line in found if (value := line.strip())]

    def _read(self) -> bytes:
        try:
            return os.read(self.source, _STEP)
        except BlockingIOError:
            return b""

    def _full(self, limit: str) -> MaskFileFull:
        return MaskFileFull(
            f"the job gave REMOTE_MASK more than {limit}; what it wrote since cannot be masked and "
            "is not in its log"
        )

    def close(self) -> None:
        """Let go of it; it stays where it is, or the next line would make a plain file of it."""
        os.close(self.source)
