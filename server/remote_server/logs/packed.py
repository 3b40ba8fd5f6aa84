"""Packed logs: gzip files that can be read from any position. Touches the files it is given.

A packed log is a series of gzip members (RFC 1952 §2.2: they may be concatenated, so `zcat` reads
it), each made of at most `BLOCK` bytes of the log. An extra field (§2.3.1.1) in each member's
header says how long the member is, so that a reader finds its way without decompressing; an empty
last member holds the length of the whole log and proves that the file is complete.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Final
from zlib import MAX_WBITS, compressobj, crc32, decompress, error

from remote_server.disk.files import sync_folder

BLOCK: Final = 256 * 1024
"""Log bytes in one member: about a millisecond to decompress."""
_LEVEL: Final = 3
# ID1 ID2 CM FLG=FEXTRA MTIME XFL OS=unknown XLEN SI1 SI2 LEN, then eight bytes of our own.
_HEADER: Final = struct.Struct("<4BI2BH2sHQ")
_FIXED: Final = (0x1F, 0x8B, 8, 4, 0, 0, 255, 12)
_TRAILER: Final = struct.Struct("<2I")
_PIECE: Final = b"RA"
"""Its eight bytes: length of the member (low half) and of its plain bytes (high half)."""
_END: Final = b"RE"
"""Its eight bytes: length of the whole log."""
_EMPTY: Final = b"\x03\x00"
_END_SIZE: Final = _HEADER.size + len(_EMPTY) + _TRAILER.size


class Damaged(OSError):
    """A packed log is not what was written."""


def pack(source: Path, target: Path) -> None:
    """Write the packed form of a log that does not grow any more, durably. OSError.

    `target` appears whole or not at all.
    """
    part = target.with_suffix(".part")
    try:
        with source.open("rb", buffering=0) as plain:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                total = 0
                while data := plain.read(BLOCK):
                    file.write(_member(data))
                    total += len(data)
                file.write(_HEADER.pack(*_FIXED, _END, 8, total) + _EMPTY + _TRAILER.pack(0, 0))
                file.flush()
                os.fsync(file.fileno())
            times = os.fstat(plain.fileno())
        os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
        part.replace(target)
        sync_folder(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def unpack(source: Path, target: Path) -> None:
    """Write the plain form of a packed log, durably. OSError, Damaged."""
    part = target.with_suffix(".part")
    try:
        log = PackedLog(source)
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                offset = 0
                while data := log.read(offset, BLOCK):
                    file.write(data)
                    offset += len(data)
                file.flush()
                os.fsync(file.fileno())
        finally:
            log.close()
        part.replace(target)
        sync_folder(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def packed_length(path: Path) -> int:
    """Length of the log in a packed file. FileNotFoundError, Damaged, OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _length(descriptor, path)
    finally:
        os.close(descriptor)


class PackedLog:
    """One packed log, open for reading. Keeps the block that was read last."""

    __slots__ = ("_block", "_descriptor", "_number", "_path", "_places", "_starts", "length")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        try:
            self.length = _length(self._descriptor, path)
            self._starts, self._places = self._index()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._number = -1
        self._block = b""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; fewer only at the end. Damaged, OSError."""
        parts = []
        while size > 0 and offset < self.length:
            number = bisect_right(self._starts, offset) - 1
            if number != self._number:
                self._block, self._number = self._load(number), number
            skip = offset - self._starts[number]
            part = self._block[skip : skip + size]
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _index(self) -> tuple[list[int], list[tuple[int, int, int]]]:
        """Where each block starts in the log, and where its member lies in the file."""
        starts, places = [], []
        start = place = 0
        while start < self.length:
            kind, value = _header(os.pread(self._descriptor, _HEADER.size, place), self._path)
            member, plain = value & 0xFFFFFFFF, value >> 32
            if kind != _PIECE or not 0 < plain <= BLOCK or member <= _HEADER.size:
                raise Damaged(f"{self._path} is damaged: no block at {place}")
            starts.append(start)
            places.append((place, member, plain))
            start += plain
            place += member
        return starts, places

    def _load(self, number: int) -> bytes:
        place, size, plain = self._places[number]
        member = os.pread(self._descriptor, size, place)
        body = member[_HEADER.size : -_TRAILER.size]
        try:
            data = decompress(body, -MAX_WBITS, BLOCK)
            trailer = _TRAILER.unpack(member[-_TRAILER.size :])
            if len(data) != plain or trailer != (crc32(data), plain):
                raise Damaged(f"{self._path} is damaged: wrong bytes at {place}")
        except (error, struct.error) as fault:
            raise Damaged(f"{self._path} is damaged at {place}: {fault}") from None
        return data


def _member(data: bytes) -> bytes:
    press = compressobj(_LEVEL, wbits=-MAX_WBITS)
    body = press.compress(data) + press.flush()
    size = _HEADER.size + len(body) + _TRAILER.size
    head = _HEADER.pack(*_FIXED, _PIECE, 8, len(data) << 32 | size)
    return head + body + _TRAILER.pack(crc32(data), len(data))


def _header(raw: bytes, path: Path) -> tuple[bytes, int]:
    if len(raw) == _HEADER.size:
        *fixed, kind, _, value = _HEADER.unpack(raw)
        if tuple(fixed) == _FIXED:
            return kind, value
    raise Damaged(f"{path} is damaged: no header where one should be")


def _length(descriptor: int, path: Path) -> int:
    end = os.fstat(descriptor).st_size - _END_SIZE
    kind, value = _header(os.pread(descriptor, _HEADER.size, end) if end >= 0 else b"", path)
    if kind != _END:
        raise Damaged(f"{path} is damaged: its end is missing")
    return value
