"""What stands in a log where bytes are missing for ever: a note for people, then nothing. Pure.

Everything after it keeps its offset. The rest of the gap is zeros, which are no record and are
dropped by whoever decodes the log.
"""

from __future__ import annotations

import time

from remote_protocol import cri


def ends_of_gap(size: int, now: float) -> tuple[bytes, bytes]:
    """What a gap of so many bytes begins and ends with; `now` is in Unix seconds."""
    note = b"\n" + _note(size, now)
    # A line feed at both ends: what stands before the gap may be cut, what follows must not be.
    return (note if len(note) < size else b""), b"\n"


def _note(size: int, now: float) -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(now)).encode()
    text = f"remote-server: {size} bytes of this log were lost\n".encode()
    return b"".join(cri.encode(text, stamp, cri.STDERR))
