"""Adds a file to a tar archive without its holes: GNU's sparse format 1.0 in a PAX header.

A hole is read as zeros and costs nothing on a disk; written out, a log with a gap of a GiB would
cost a GiB in the archive. GNU tar, bsdtar and Python's tarfile unpack the format, to the same
bytes and with the holes. Reads the file that it is given.
"""

from __future__ import annotations

import errno
import io
import os
import tarfile
from collections.abc import Iterator
from typing import Final, NamedTuple

SMALLEST: Final = 64 * 1024
"""Bytes of the shortest hole that is left out: the map of what is there stays small."""
_BLOCK: Final = 512


class Extent(NamedTuple):
    """Bytes of a file that are stored."""

    offset: int
    size: int


def extents(descriptor: int, size: int) -> list[Extent]:
    """What is stored of the first `size` bytes of a file, in order; all of it where the file system
    does not say. Moves the file's position. OSError."""
    found: list[Extent] = []
    for start, end in _stored(descriptor, size):
        if found and start - sum(found[-1]) < SMALLEST:
            start = found.pop().offset
        found.append(Extent(start, end - start))
    return found


def _stored(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    if not hasattr(os, "SEEK_DATA"):  # pragma: no cover - Windows
        yield 0, size
        return
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            if start >= size:
                return
            end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            start, end = end, size
        yield start, end


def add(archive: tarfile.TarFile, entry: tarfile.TarInfo, file: io.FileIO) -> None:
    """Add the first `entry.size` bytes of a file under the name of `entry`. OSError, also when the
    file became shorter meanwhile."""
    size = entry.size
    stored = extents(file.fileno(), size)
    if sum(extent.size for extent in stored) > size - SMALLEST:
        file.seek(0)
        archive.addfile(entry, file)
        return
    # The end of the file is named by an empty extent there, as GNU tar does.
    if not stored or sum(stored[-1]) < size:
        stored.append(Extent(size, 0))
    numbers = [len(stored), *(number for extent in stored for number in extent)]
    index = "".join(f"{number}\n" for number in numbers).encode()
    index += bytes(-len(index) % _BLOCK)
    folder, _, name = entry.name.rpartition("/")
    entry.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": entry.name,
        "GNU.sparse.realsize": str(size),
    }
    # What programs that do not know the format unpack.
    entry.name = f"{folder}/GNUSparseFile.0/{name}".lstrip("/")
    entry.size = len(index) + sum(extent.size for extent in stored)
    archive.addfile(entry, _Condensed(index, stored, file))


class _Condensed(io.RawIOBase):
    """The map, then the stored bytes one after the other."""

    def __init__(self, index: bytes, stored: list[Extent], file: io.FileIO) -> None:
        super().__init__()
        self._index = index
        self._left = stored[::-1]
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, `size` at most; empty at the end of the file."""
        parts: list[bytes] = []
        if self._index:
            parts.append(self._index[:size])
            self._index = self._index[size:]
            size -= len(parts[0])
        while size > 0 and self._left:
            offset, length = self._left.pop()
            self._file.seek(offset)
            data = self._file.read(min(size, length))
            parts.append(data)
            size -= len(data)
            if len(data) < length and data:
                self._left.append(Extent(offset + len(data), length - len(data)))
            elif length and not data:
                break
        return b"".join(parts)
