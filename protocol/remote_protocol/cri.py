r"""The CRI log format: `<RFC 3339 time with nanoseconds, UTC> stdout|stderr F|P <content>\n`.

The format in which Kubernetes nodes keep container logs (kubelet `cri/logs`): `F` ends a full
line, `P` a partial one, so that undoing it gives back every byte. Pure and standard library
only: the shim imports it. Encoding costs one C-level `replace` for each read, never a loop over
lines; all records of one read carry one timestamp.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

STDOUT: Final = b"stdout"
STDERR: Final = b"stderr"
STAMP_LENGTH: Final = 30
"""Length of `2026-11-21T03:04:05.123456789Z`."""
_STREAM: Final = STAMP_LENGTH + 1
_TAG: Final = _STREAM + 7
CONTENT: Final = _TAG + 2
"""Where a record's content starts: every prefix has the same length."""


class Record(NamedTuple):
    """One record of a log; `data` holds the job's own bytes, with the newline if it had one."""

    time: str
    stream: str
    data: bytes


def encode(data: bytes, stamp: bytes, stream: bytes) -> list[bytes | memoryview]:
    """Buffers whose concatenation is `data` in CRI format, for `writev`.

    `stamp` is the time of the read in RFC 3339 with nine digits and `Z`; `stream` is STDOUT or
    STDERR. A tail without a newline becomes a partial record.
    """
    if not data:
        return []
    full = stamp + b" " + stream + b" F "
    tail = len(data) - data.rfind(b"\n") - 1
    buffers: list[bytes | memoryview] = []
    if tail < len(data):
        # A copy of the lines alone would cost as much again: what the last newline got is cut off.
        lines = data.replace(b"\n", b"\n" + full)
        buffers += [full, memoryview(lines)[: len(lines) - len(full) - tail]]
    if tail:
        buffers += [stamp + b" " + stream + b" P ", data[len(data) - tail :], b"\n"]
    return buffers


def complete(data: bytes | memoryview) -> int:
    """Length of the whole records at the start of `data`: a later byte belongs to a cut one."""
    return bytes(data).rfind(b"\n") + 1


def decode(data: bytes, only: bytes | None = None) -> bytes:
    """The job's own bytes in whole CRI records; with `only`, of that one stream.

    `data` must start at a record and end with one (see `complete`). Lines that are no records
    are dropped: they can only come from a damaged file, and `check` names those.
    """
    parts: list[bytes] = []
    take = parts.append
    for line in data.split(b"\n"):
        if only is not None and line[_STREAM : _STREAM + 6] != only:
            continue
        tag = line[_TAG : _TAG + 1]
        if tag == b"F":
            take(line[CONTENT:])
            take(b"\n")
        elif tag == b"P":
            take(line[CONTENT:])
    return b"".join(parts)


def records(data: bytes) -> Iterator[Record]:
    """The records in whole CRI lines, one by one, with time and stream."""
    for line in data.split(b"\n"):
        tag = line[_TAG : _TAG + 1]
        if tag not in (b"F", b"P"):
            continue
        yield Record(
            line[:STAMP_LENGTH].decode("ascii", "replace"),
            line[_STREAM : _STREAM + 6].decode("ascii", "replace"),
            line[CONTENT:] + (b"\n" if tag == b"F" else b""),
        )
