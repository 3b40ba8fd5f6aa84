"""The records that a shim leaves in its attempt's directory. Writes there.

The exit record appears whole or not at all: written under a temporary name, then renamed
(rename(2)).
"""

from __future__ import annotations

import os
from errno import EEXIST, ENOSPC
from typing import Any, Final

from remote_agent.processes import CHANGE, NEW, READ, Folder, UnexpectedEntry
from remote_agent.shim.json_text import decode, encode
from remote_agent.shim.layout import CLEAN, DRAFT, KEY, STARTED, VERSION
from remote_protocol.units import plain_size

LARGEST: Final = 1 << 20
"""Bytes of a record at the most; the steps of an exit record take some ten thousand."""
RECORD_BEGINNING: Final = f'{{"v":{VERSION},"{KEY}":'
CLEAN_FIELD: Final = f',"{CLEAN}":'
"""How shims begin a record, before whose it is, and name the last field of an exit record: who
knows that needs not decode the rest. An older shim may write it in another way."""
_STEP: Final = 1 << 16


def has_begun(directory: Folder) -> bool:
    """Whether the attempt has begun before."""
    return directory.exists(STARTED)


def mark_begun(directory: Folder, looked: bool = False) -> None:
    """Make the start-once marker (I1), with the directory's lock held. `looked`: under the same
    lock, `has_begun` has said no.

    FileExistsError when the attempt has begun before.
    """
    if not looked and has_begun(directory):
        raise FileExistsError(EEXIST, os.strerror(EEXIST), STARTED)
    try:
        directory.rename(STARTED + DRAFT, STARTED)
    except FileNotFoundError:
        os.close(directory.open(STARTED, NEW))


def write_started(directory: Folder, data: bytes) -> None:
    """Put the pids into the marker, in one write: a reader sees nothing or all of it. OSError."""
    marker = directory.open(STARTED, CHANGE)
    try:
        os.write(marker, data)
    finally:
        os.close(marker)


def write_record(directory: Folder, name: str, body: dict[str, Any], sync: bool = False) -> None:
    """Write a record. With `sync` it is on the disk when this returns. OSError when it fails.

    What a job has put in its place is moved out of the way.
    """
    write_text(directory, name, encode({"v": VERSION, **body}).encode(), sync)


def write_text(directory: Folder, name: str, data: bytes, sync: bool = False) -> None:
    """The same for the bytes of a record."""
    temporary = name + DRAFT
    descriptor = _open_draft(directory, temporary)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        directory.rename(temporary, name)
    except IsADirectoryError:
        directory.clear(name)
        directory.rename(temporary, name)
    if sync:
        directory.sync()


def _open_draft(directory: Folder, name: str) -> int:
    try:
        descriptor = directory.open(name, CHANGE)
    except FileNotFoundError:
        return directory.open(name, NEW)
    except UnexpectedEntry:
        pass
    else:
        if not os.lseek(descriptor, 0, os.SEEK_END):
            return descriptor
        os.close(descriptor)
    directory.clear(name)
    return directory.open(name, NEW)


def sync_record(directory: Folder, name: str) -> None:
    """Force a record that was written without it to the disk. OSError when that fails."""
    directory.sync_file(name)
    directory.sync()


def read_record(directory: Folder, name: str) -> dict[str, Any] | None:
    """A record; None when there is none or a power loss has left nothing readable of it.

    UnexpectedEntry when it is no plain file, or far larger than any record.
    """
    data = read_text(directory, name)
    return None if data is None else parse_record(data)


def read_text(directory: Folder, name: str) -> bytes | None:
    """The bytes of a record; None when there is none. UnexpectedEntry as for `read_record`."""
    try:
        descriptor = directory.open(name, READ)
    except FileNotFoundError:
        return None
    data = read_bounded(descriptor, LARGEST)
    if len(data) > LARGEST:
        raise UnexpectedEntry(name, f"it is larger than {plain_size(LARGEST)}")
    return data


def parse_record(data: bytes) -> dict[str, Any] | None:
    """The record in these bytes; None when there is none."""
    try:
        body = decode(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def read_bounded(descriptor: int, most: int) -> bytes:
    """What is in an open file, and one byte more than `most` at the most; closes it."""
    parts, left = [], most + 1
    try:
        while left and (part := os.read(descriptor, min(left, _STEP))):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)
