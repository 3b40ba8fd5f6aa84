"""The format of packed logs: gzip that can be read from any position with two requests. Pure.

A packed log is a series of gzip members (RFC 1952 §2.2: they may be concatenated, so `zcat` reads
it), each made of `BLOCK` bytes of the log, the last one of fewer. Empty members follow, which hold
in an extra field (§2.3.1.1) the lengths of those before, and an empty last one of a fixed size,
which says where they are and how long the log is, and so proves that the object is complete.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple
from zlib import MAX_WBITS, compressobj, crc32, decompressobj, error

from remote_server.logs.ports import LogUnavailable

BLOCK: Final = 256 * 1024
"""Log bytes in one member: about a millisecond to decompress."""
TAIL: Final = 64 * 1024
"""Bytes at the end of a packed log that most often hold its whole index, that of some GiB."""
_LEVEL: Final = 3
# ID1 ID2 CM FLG=FEXTRA MTIME XFL OS=unknown, then XLEN SI1 SI2 LEN and bytes of our own.
_FIXED: Final = bytes((0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 255))
_EXTRA: Final = struct.Struct("<H2sH")
_HEADER: Final = len(_FIXED) + _EXTRA.size
_TRAILER: Final = struct.Struct("<2I")
_NOTHING: Final = b"\x03\x00" + bytes(_TRAILER.size)
"""The rest of an empty member."""
_PIECE: Final = b"RA"
_INDEX: Final = b"RI"
_END: Final = b"RE"
_LENGTH: Final = 4
"""Bytes of the length of a member."""
_MOST_LENGTHS: Final = 16_000
"""In one member of the index: an extra field has 64 KiB at the most."""
_END_FIELDS: Final = struct.Struct("<2QI")
"""Length of the log, where the index begins, CRC-32 of both and of the index."""
END_SIZE: Final = _HEADER + _END_FIELDS.size + len(_NOTHING)
_LONGEST_MEMBER: Final = BLOCK + BLOCK // 8 + 1024
"""More than any deflate makes of `BLOCK` bytes."""
MOST_BLOCKS: Final = 1 << 24
"""In one packed log, which has 4 TiB then, and an index of 64 MiB to be held in memory."""


class Damaged(LogUnavailable):
    """A packed log is not what was written."""


class End(NamedTuple):
    """What the last member says."""

    length: int
    """Bytes of the log."""
    index_at: int
    index_size: int
    index_crc: int


def pack(content: Iterable[bytes]) -> Iterator[bytes]:
    """The packed form of a log, member by member."""
    lengths = array("I")
    total = at = 0
    for block in _blocks(content):
        member = _member(block)
        lengths.append(len(member))
        if len(lengths) > MOST_BLOCKS:
            raise LogUnavailable(f"the log is too long to be packed: over {total} bytes")
        total += len(block)
        at += len(member)
        yield member
    index = b"".join(
        _empty(_INDEX, struct.pack(f"<{len(part)}I", *part))
        for start in range(0, len(lengths), _MOST_LENGTHS)
        if (part := lengths[start : start + _MOST_LENGTHS])
    )
    yield index + _empty(_END, _END_FIELDS.pack(total, at, _crc(total, at, index)))


def read_end(tail: bytes, size: int) -> End:
    """What the end of a packed log of `size` bytes says; `tail` are its last bytes. Damaged, also
    when the index would not be as long as that of such a log is: it is not read then."""
    kind, fields = _field(tail[-END_SIZE:])
    if kind != _END or len(fields) != _END_FIELDS.size:
        raise Damaged("is damaged: its end is missing")
    length, index_at, index_crc = _END_FIELDS.unpack(fields)
    end = End(length, index_at, size - END_SIZE - index_at, index_crc)
    count = _blocks_of(length)
    members = -(-count // _MOST_LENGTHS)
    wanted = count * _LENGTH + members * (_HEADER + len(_NOTHING))
    if count > MOST_BLOCKS or end.index_size != wanted:
        raise Damaged("is damaged: its end does not fit")
    return end


def read_index(raw: bytes, end: End) -> array[int]:
    """Where each member begins, and where the last one ends. Damaged."""
    if len(raw) != end.index_size or _crc(end.length, end.index_at, raw) != end.index_crc:
        raise Damaged("is damaged: its index is not what was written")
    lengths = array("I")
    at = 0
    while at < len(raw):
        kind, fields = _field(raw, at)
        if kind != _INDEX or len(fields) % _LENGTH:
            raise Damaged("is damaged: its index is none")
        lengths.extend(struct.unpack(f"<{len(fields) // _LENGTH}I", fields))
        at += _HEADER + len(fields) + len(_NOTHING)
    places = array("Q", accumulate(lengths, initial=0))
    if (
        places[-1] != end.index_at
        or len(lengths) != _blocks_of(end.length)
        or max(lengths, default=0) > _LONGEST_MEMBER
    ):
        raise Damaged("is damaged: its index does not fit")
    return places


def read_member(member: bytes) -> bytes:
    """The bytes of the log in a member. Damaged."""
    try:
        kind, _ = _field(member)
        press = decompressobj(-MAX_WBITS)
        # Not a byte more than one beyond what belongs there, whatever it would become.
        data = press.decompress(member[_HEADER : -_TRAILER.size], BLOCK + 1)
        found = (crc32(data), len(data))
        sound = kind == _PIECE and press.eof and len(data) <= BLOCK
        if not sound or _TRAILER.unpack(member[-_TRAILER.size :]) != found:
            raise Damaged("is damaged: a block is not what was written")
    except (error, struct.error) as fault:
        raise Damaged(f"is damaged: {fault}") from None
    return data


def _blocks(content: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of equal length."""
    rest = b""
    for part in content:
        if rest:
            part = rest + part
        whole = len(part) - len(part) % BLOCK
        for start in range(0, whole, BLOCK):
            yield part if len(part) == BLOCK else part[start : start + BLOCK]
        rest = part[whole:]
    if rest:
        yield rest


def _blocks_of(length: int) -> int:
    return -(-length // BLOCK)


def _crc(length: int, index_at: int, index: bytes) -> int:
    return crc32(struct.pack("<2Q", length, index_at), crc32(index))


def _member(data: bytes) -> bytes:
    press = compressobj(_LEVEL, wbits=-MAX_WBITS)
    body = press.compress(data) + press.flush()
    return _head(_PIECE, b"") + body + _TRAILER.pack(crc32(data), len(data))


def _empty(kind: bytes, fields: bytes) -> bytes:
    return _head(kind, fields) + _NOTHING


def _head(kind: bytes, fields: bytes) -> bytes:
    return _FIXED + _EXTRA.pack(len(fields) + 4, kind, len(fields)) + fields


def _field(raw: bytes, at: int = 0) -> tuple[bytes, bytes]:
    """Kind and bytes of the extra field of the member that begins at `at`."""
    if len(raw) - at >= _HEADER and raw.startswith(_FIXED, at):
        both, kind, length = _EXTRA.unpack_from(raw, at + len(_FIXED))
        fields = raw[at + _HEADER : at + _HEADER + length]
        if both == length + 4 and len(fields) == length:
            return kind, fields
    raise Damaged("is damaged: no header where one should be")
