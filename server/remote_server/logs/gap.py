"""What stands in a log where bytes are missing for ever: a note for people, then nothing.

Everything after it keeps its offset. The rest of the gap is a hole in the file, without cost on
the disk, which is no record and is dropped by whoever decodes the log. Touches the descriptor that
it is given.
"""

from __future__ import annotations

import os
import time

from remote_protocol import cri


def fill_gap(descriptor: int, start: int, end: int, now: float) -> None:
    """Fill a file's bytes from `start`, its length, to `end`. OSError."""
    os.ftruncate(descriptor, end)
    note = _note(end - start, now)
    # A line feed at both ends: what stands before the gap may be cut, what follows must not be.
    if len(note) + 2 <= end - start:
        os.pwrite(descriptor, b"\n" + note, start)
    os.pwrite(descriptor, b"\n", end - 1)


def _note(size: int, now: float) -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(now)).encode()
    text = f"remote-server: {size} bytes of this log were lost\n".encode()
    return b"".join(cri.encode(text, stamp, cri.STDERR))
