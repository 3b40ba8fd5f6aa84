"""Files below a folder in which programs are at work: what vanishes meanwhile is no error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def files(root: Path) -> Iterator[Path]:
    """Everything below a folder that was no folder when it was seen."""
    for folder, _, names in os.walk(root):
        for name in names:
            yield Path(folder, name)


def contents(root: Path) -> Iterator[tuple[Path, bytes]]:
    """The regular files below a folder, and what is in them."""
    for path in files(root):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield path, path.read_bytes()


def total_size(root: Path) -> int:
    """Bytes of the regular files below a folder as they are counted by ls, holes included."""
    total = 0
    for path in files(root):
        with suppress(FileNotFoundError):
            if path.is_file():
                total += path.stat().st_size
    return total
