"""Every file below some folders, while programs make files and folders and remove them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(*roots: Path) -> Iterator[Path]:
    """Regular files; what is gone meanwhile is left out."""
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                path = Path(folder, name)
                if path.is_file():
                    yield path


def content_of(path: Path) -> bytes:
    """What is in a file; nothing when it is gone, or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
