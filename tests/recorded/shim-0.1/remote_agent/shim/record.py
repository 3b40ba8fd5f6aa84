"""The records that a shim leaves in its attempt's directory. Writes there.

The exit record appears whole or not at all: written under a temporary name, then renamed
(rename(2)).
"""

from __future__ import annotations

import json
import os
from errno import ENOSPC
from typing import Any, Final

from remote_agent.shim.layout import STARTED, VERSION

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def has_begun(directory: int) -> bool:
    """Whether the attempt has begun before."""
    try:
        os.stat(STARTED, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def mark_begun(directory: int) -> int:
    """Make the start-once marker (I1); returns it open, for `write_started`.

    FileExistsError when the attempt has begun before.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(STARTED, flags, 0o600, dir_fd=directory)


def write_started(marker: int, body: dict[str, Any]) -> None:
    """Put the pids into the marker, in one write: a reader sees nothing or all of it."""
    os.write(marker, json.dumps({"v": VERSION, **body}, separators=(",", ":")).encode())


def write_record(directory: int, name: str, body: dict[str, Any], sync: bool = False) -> None:
    """Write a record. With `sync` it is on the disk when this returns. OSError when it fails."""
    data = json.dumps({"v": VERSION, **body}, separators=(",", ":")).encode()
    temporary = name + ".tmp"
    descriptor = os.open(temporary, _FLAGS, 0o600, dir_fd=directory)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    if sync:
        os.fsync(directory)


def read_record(directory: int, name: str) -> dict[str, Any] | None:
    """A record; None when there is none or a power loss has left nothing readable of it."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        try:
            body = json.loads(file.read())
        except ValueError:
            return None
    return body if isinstance(body, dict) else None
