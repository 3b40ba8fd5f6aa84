"""Empty attempt directories, ready for the next offer. Touches only `.spare.*` in its folder.

Making and deleting its directories is most of what a short job costs the agent. So those of
attempts that left nothing are used again, and a few are made while there is time.

One that is used again keeps the files of its order and its records, emptied: making and deleting
files is dear. The records' get the names of drafts. Nothing of all that is forced to the disk: what
was in them may come back when the host loses power, on file systems that do not keep the order of
changes; such orders and records name another attempt, or are empty, and count for nothing
(`directory.of_attempt`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from remote_agent.processes import CHANGE, WHOLE_TREES, Folder, remove_tree, rename
from remote_agent.shim.layout import CLEAN, DRAFT, EXIT, KEY, ORDER, STARTED
from remote_agent.shim.record import read_record

SPARE: Final = ".spare."
"""What their names begin with."""
MOST: Final = 64
"""Directories kept at the most."""
LEAST: Final = 16
"""Directories that `fill` sees to."""
_FILES: Final = frozenset({ORDER, STARTED, EXIT})


class SpareDirectories:
    """Empty directories in `root`, with these `folders` in them.

    What a former agent left there is removed.
    """

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        self._root = root
        self.folders = folders
        self._ready: deque[Path] = deque()
        self._numbers = count()
        for name in os.listdir(root):
            if name.startswith(SPARE):
                _remove(root / name)

    def take(self) -> Path | None:
        """A directory that is the caller's from now on; None when there is none."""
        return self._ready.popleft() if self._ready else None

    def fill(self) -> None:
        """Make some, if there are few. OSError when the disk refuses."""
        while len(self._ready) < LEAST:
            path = self._name()
            try:
                make_empty(path, self.folders)
            except OSError:
                _remove(path)
                raise
            self._ready.append(path)

    def drop(self, folders: tuple[str, ...]) -> None:
        """Make others from now on: jobs have their files in another place."""
        while self._ready:
            _remove(self._ready.pop())
        self.folders = folders

    def keep(self, directory: Path, folder: Folder) -> bool:
        """Use the directory of a settled attempt, open as `folder`, again; False, and untouched, if
        that won't do.

        Nothing of a job may reach the next one. So: its shim has let go, has seen the job's last
        process end (`CLEAN`), and there is nothing in the directory but what every attempt has.
        """
        if len(self._ready) >= MOST or not WHOLE_TREES:
            return False
        files: list[int] = []
        try:
            if not folder.lock() or not self._is_clean(folder, directory.name):
                return False
            # Plain files of ours, which shall be nobody's through a second name.
            for name in _FILES:
                files.append(folder.open(name, CHANGE))
            path = self._name()
            # Away from its name first: whatever happens from here on, it is no attempt any more.
            rename(directory, path)
            if not folder.is_at(path):
                # Somebody has put something else there meanwhile. It is removed at the next start.
                return False
            for name in (STARTED, EXIT):
                folder.rename(name, name + DRAFT)
            for file in files:
                os.ftruncate(file, 0)
        except OSError:
            return False
        finally:
            for file in files:
                os.close(file)
        self._ready.append(path)
        return True

    def _is_clean(self, directory: Folder, key: str) -> bool:
        if set(directory.names()) != _FILES.union(self.folders):
            return False
        record = read_record(directory, EXIT)  # UnexpectedEntry is an OSError, too: kept by nobody
        if record is None or record.get(CLEAN) is not True or record.get(KEY) != key:
            return False
        return all(directory.untouched(folder) for folder in self.folders)

    def _name(self) -> Path:
        return self._root / f"{SPARE}{next(self._numbers)}"


def make_empty(path: Path, folders: Iterable[str]) -> None:
    """Make a directory with these folders in it; one of that name is removed first."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        remove_tree(path)
        os.mkdir(path, 0o700)
    for folder in folders:
        os.mkdir(path / folder, 0o700)


def _remove(path: Path) -> None:
    with suppress(OSError):
        remove_tree(path)
