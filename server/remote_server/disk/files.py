"""Short ways with files that logs and inputs need: durable, private, compared. Touches what it
is given.

Each blocks until the disk has answered.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from zlib import crc32

_PIECE: Final = 1024 * 1024


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, for this user only. OSError."""
    # mkdir's own `parents` would make them for everyone.
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def checksum(path: Path, size: int) -> int:
    """CRC-32 (ITU-T V.42) of the first `size` bytes of a file. OSError."""
    crc = 0
    with path.open("rb", buffering=0) as file:
        while size and (piece := file.read(min(size, _PIECE))):
            crc = crc32(piece, crc)
            size -= len(piece)
    return crc


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
