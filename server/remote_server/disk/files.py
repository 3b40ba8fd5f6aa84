"""Short ways with files that logs and inputs need: durable, private, compared. Touches what it
is given.

Each blocks until the disk has answered.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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


def sync_folder(path: Path | str) -> None:
    """Make the names in a folder durable. OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_at(path: Path, offset: int, data: memoryview) -> None:
    """Write at this offset of a file that is being received; it and its folder are made, for this
    user only. OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        make_folder(path.parent)
        descriptor = os.open(path, flags, 0o600)
    try:
        # At its offset, and not at the end: what a failed write has left is written over.
        while data:
            written = os.pwrite(descriptor, data, offset)
            data, offset = data[written:], offset + written
    finally:
        os.close(descriptor)


def keep_whole(part: Path, whole: Path, folders: Sequence[Path]) -> None:
    """Give what was received the name of the whole file. With `folders`, whose names change, it
    survives a power cut from then on; without, none is waited for. OSError."""
    if folders:
        descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    os.replace(part, whole)
    for folder in folders:
        sync_folder(folder)
