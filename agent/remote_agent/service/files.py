"""Writes files of the host, as a whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from remote_agent.processes import set_mode


def put(path: Path, content: bytes, mode: int) -> bool:
    """Have this content in a file of this mode, which is never open to others than that says;
    whether that changed anything. OSError."""
    if path.exists() and path.read_bytes() == content and _has(path, mode):
        return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        set_mode(descriptor, mode)
        file.write(content)
    temporary.replace(path)
    return True


def _has(path: Path, mode: int) -> bool:
    # On Windows files have access lists, which they inherit.
    return not hasattr(os, "geteuid") or stat.S_IMODE(path.stat().st_mode) == mode
