"""Deleting what jobs have left, whatever that is (POSIX): read-only folders, links, deep trees.

Every step is relative to an open folder and follows no link, so nothing outside the tree can be
hit, however fast somebody changes it. What lies deeper than a few levels is first moved up beside
the tree: a job can nest folders deeper than descriptors or the stack would last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Final

from remote_agent.processes.posix_files import restore_access

_DEPTH: Final = 24
"""Levels that are open at the same time."""
_BATCH: Final = 1000
"""Entries whose names are held at the same time."""
_ROUNDS: Final = 100
"""Looks at one folder that never becomes empty: somebody still writes into it."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path) -> None:
    """Delete a file, a link or a folder with all in it; nothing for what is not there.

    Folders that are closed to their owner are opened to him. OSError, with the path, for what
    cannot be deleted; what can be is gone then.
    """
    try:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        removal = _Removal(parent)
        removal.remove(path.name, parent, str(path), 0)
        while removal.moved:
            name, shown = removal.moved.pop()
            removal.remove(name, parent, shown, 0)
    finally:
        os.close(parent)
    if removal.failed is not None:
        raise removal.failed


class _Removal:
    """One deletion. `top` is the open folder that holds the tree."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._numbers = count()
        self._stamp = time.time_ns()
        self.moved: list[tuple[str, str]] = []
        """What was deep in the tree: names in `top`, and where they were."""
        self.failed: OSError | None = None
        """The first thing that could not be deleted."""

    def remove(self, name: str, folder: int, shown: str, depth: int) -> bool:
        """Delete a name in an open folder; whether it is gone."""
        try:
            if not _unlink(name, folder):
                self._remove_folder(name, folder, shown, depth)
        except FileNotFoundError:
            return True
        except OSError as error:
            if self.failed is None:
                self.failed = OSError(error.errno, os.strerror(error.errno or 0), shown)
            return False
        return True

    def _remove_folder(self, name: str, folder: int, shown: str, depth: int) -> None:
        if depth == _DEPTH:
            # Moving a folder writes its entry `..`.
            restore_access(name, 0o700, folder)
            aside = f".deep.{self._stamp}.{next(self._numbers)}"
            _in_open(
                folder, lambda: os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=self._top)
            )
            self.moved.append((aside, shown))
            return
        inside = _enter(name, folder)
        try:
            for _ in range(_ROUNDS):
                # What changes while it is read may hide entries: until one look finds none.
                if not self._empty(inside, shown, depth):
                    break
        finally:
            os.close(inside)
        _in_open(folder, lambda: os.rmdir(name, dir_fd=folder))

    def _empty(self, folder: int, shown: str, depth: int) -> bool:
        """Delete what is in an open folder; whether another look makes sense."""
        gone = 0
        for names in _batches(folder):
            gone += sum(self.remove(name, folder, f"{shown}/{name}", depth + 1) for name in names)
        return gone > 0


def _batches(folder: int) -> Iterator[list[str]]:
    with os.scandir(folder) as entries:
        while names := [entry.name for entry in islice(entries, _BATCH)]:
            yield names


def _unlink(name: str, folder: int) -> bool:
    """Delete a file or link; False when it is a folder."""
    try:
        _in_open(folder, lambda: os.unlink(name, dir_fd=folder))
    except (IsADirectoryError, PermissionError):
        # POSIX has EPERM for folders, Linux EISDIR.
        with suppress(OSError):
            os.close(_enter(name, folder))
            return False
        raise
    return True


def _in_open(folder: int, call: Callable[[], object]) -> None:
    """Do something in a folder; it is opened to its owner when it is closed to him."""
    try:
        call()
    except PermissionError:
        os.fchmod(folder, 0o700)
        call()


def _enter(name: str, folder: int) -> int:
    """Open a folder in a folder. OSError when it is none, or a link."""
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        restore_access(name, 0o700, folder)
        return os.open(name, _FOLDER, dir_fd=folder)
