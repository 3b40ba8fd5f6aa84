"""The records that a shim leaves in its attempt's directory. Writes there.

The exit record appears whole or not at all: written under a temporary name, then renamed
(rename(2)).
"""

from __future__ import annotations

import json
import os
from errno import ENOSPC
from typing import Any

from remote_agent.processes import NEW, READ, REPLACE, Folder
from remote_agent.shim.layout import STARTED, VERSION


def has_begun(directory: Folder) -> bool:
    """Whether the attempt has begun before."""
    return directory.exists(STARTED)


def mark_begun(directory: Folder) -> int:
    """Make the start-once marker (I1); returns it open, for `write_started`.

    FileExistsError when the attempt has begun before.
    """
    return directory.open(STARTED, NEW)


def write_started(marker: int, body: dict[str, Any]) -> None:
    """Put the pids into the marker, in one write: a reader sees nothing or all of it."""
    os.write(marker, json.dumps({"v": VERSION, **body}, separators=(",", ":")).encode())


def write_record(directory: Folder, name: str, body: dict[str, Any], sync: bool = False) -> None:
    """Write a record. With `sync` it is on the disk when this returns. OSError when it fails."""
    data = json.dumps({"v": VERSION, **body}, separators=(",", ":")).encode()
    temporary = name + ".tmp"
    descriptor = directory.open(temporary, REPLACE)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    directory.rename(temporary, name)
    if sync:
        directory.sync()


def sync_record(directory: Folder, name: str) -> None:
    """Force a record that was written without it to the disk. OSError when that fails."""
    directory.sync_file(name)
    directory.sync()


def read_record(directory: Folder, name: str) -> dict[str, Any] | None:
    """A record; None when there is none or a power loss has left nothing readable of it."""
    try:
        descriptor = directory.open(name, READ)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        try:
            body = json.loads(file.read())
        except ValueError:
            return None
    return body if isinstance(body, dict) else None
