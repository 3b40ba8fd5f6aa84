"""Whether the file of a complete log still holds what the job wrote. Reads one file at a time.

The checksum that was compared at the attempt's end is the measure; a packed log's blocks carry
checksums of their own besides.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from zlib import crc32

from remote_server.disk.files import checksum
from remote_server.logs.packed import BLOCK, PackedLog


def damage(path: Path, size: int, crc: int | None) -> str | None:
    """What is wrong with a plain or packed log, in words; empty: nothing; None: it is missing.

    Its first `size` bytes are compared with `crc`, CRC-32; None: only their number. Blocks as long
    as reading all of it takes: use a thread.
    """
    try:
        length, found = _packed(path, size) if path.suffix == ".gz" else _plain(path, size)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read: {error}"
    if length < size:
        return f"has {length} of {size} bytes"
    if crc is not None and found != crc:
        return f"is damaged: its {size} bytes are not those that were written ({path})"
    return ""


def _plain(path: Path, size: int) -> tuple[int, int]:
    return path.stat().st_size, checksum(path, size)


def _packed(path: Path, size: int) -> tuple[int, int]:
    with closing(PackedLog(path)) as log:
        crc = offset = 0
        # Also what lies after `size`: a damaged block is a fault wherever it is.
        while data := log.read(offset, BLOCK):
            crc = crc32(data[: max(0, size - offset)], crc)
            offset += len(data)
    return offset, crc
