"""Empty attempt directories, ready for the next offer. Touches only `.spare.*` in its folder.

Making and deleting its directories is most of what a short job costs the agent. So those of
attempts that left nothing but a log, which gets another place, are used again, and a few are made
while there is time.

One that is used again keeps the files of its order and its records, emptied: making and deleting
files is dear. The records' get the names of drafts. Nothing of all that is forced to the disk: what
was in them may come back when the host loses power, on file systems that do not keep the order of
changes; such orders and records name another attempt, or are empty, and count for nothing
(`directory.of_attempt`).
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from pydantic_core import from_json

from remote_agent.processes import CHANGE, WHOLE_TREES, Folder, remove_tree, rename
from remote_agent.shim.layout import (
    CLEAN,
    DRAFT,
    EXIT,
    KEY,
    MASK_FILE,
    ORDER,
    STARTED,
)
from remote_agent.shim.record import CLEAN_FIELD, RECORD_BEGINNING
from remote_agent.spool import LIVE

SPARE: Final = ".spare."
"""What their names begin with."""
MOST: Final = 64
"""Directories kept at the most."""
LEAST: Final = 16
"""Directories that `fill` sees to."""
SETTLED_FOR: Final = 3.0
"""Seconds after which a change of a folder has another time than what was seen before it: file
systems note them by the second, some by two."""
_FILES: Final = (EXIT, ORDER, STARTED)
_OTHERS: Final = frozenset({LIVE, MASK_FILE})
"""What some attempts have besides."""
_LONGEST: Final = 1 << 14
"""Bytes of the record of an end that leaves nothing but its usual fields."""
_CLEAN_END: Final = f"{CLEAN_FIELD}true}}".encode()
"""How a shim ends such a record."""
_MOST_TAKEN: Final = 1 << 12


class Emptiness(NamedTuple):
    """How the folders of a directory were when all of them were empty and their owner's only."""

    seen_at: float
    """When these marks were seen first, by the monotonic clock."""
    marks: tuple[tuple[int, int], ...] = ()
    """Of each folder its inode and the time of its last change. Whoever puts something into it,
    takes it away or changes its mode changes that time, which nobody can set."""


_UNKNOWN: Final = Emptiness(0.0)


class SpareDirectories:
    """Empty directories in `root`, with these `folders` in them.

    What a former agent left there is removed.
    """

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        self._root = root
        self._ready: deque[tuple[str, Emptiness]] = deque()
        self._taken: dict[str, tuple[Emptiness, bool]] = {}
        """Of directories that became an attempt's, by its name; and whether what was done to their
        folders since then shows in their times."""
        self._numbers = count()
        self._have(folders)
        for name in os.listdir(root):
            if name.startswith(SPARE):
                _remove(root / name)

    def _have(self, folders: tuple[str, ...]) -> None:
        self.folders = folders
        self._names = frozenset((*_FILES, *folders))

    def take(self, attempt: str) -> str | None:
        """The path of a directory that is this attempt's from now on; None when there is none."""
        if not self._ready:
            return None
        path, empty = self._ready.popleft()
        if len(self._taken) >= _MOST_TAKEN:
            self._taken.clear()
        self._taken[attempt] = empty, time.monotonic() - empty.seen_at >= SETTLED_FOR
        return path

    def fill(self) -> None:
        """Make some, if there are few. OSError when the disk refuses."""
        while len(self._ready) < LEAST:
            path = self._name()
            try:
                make_empty(path, self.folders)
                with Folder(path) as folder:
                    empty = self._emptiness(folder)
            except OSError:
                _remove(path)
                raise
            self._ready.append((path, empty or _UNKNOWN))

    def drop(self, folders: tuple[str, ...]) -> None:
        """Make others from now on: jobs have their files in another place."""
        while self._ready:
            _remove(self._ready.pop()[0])
        self._have(folders)

    def keep(self, directory: str, folder: Folder, log: str) -> bool:
        """Use the directory of a settled attempt, open as `folder`, again; its log, if it has one,
        is moved to the path `log`. False, and untouched, if that won't do.

        Nothing of a job may reach the next one. So: its shim has let go, has seen the job's last
        process end (`CLEAN`), and there is nothing in the directory but what every attempt has, a
        log of one piece, and the way to name secrets. That goes: who holds it open has nothing of
        the next attempt.
        """
        name = directory.rpartition(os.sep)[2]
        known, shows = self._taken.pop(name, (_UNKNOWN, False))
        if len(self._ready) >= MOST or not WHOLE_TREES:
            return False
        files: list[int] = []
        try:
            if not folder.lock():
                return False
            names = set(folder.names())
            if names - _OTHERS != self._names:
                return False
            # Plain files of ours, which shall be nobody's through a second name.
            for file in (EXIT, ORDER):
                files.append(folder.open(file, CHANGE))
            if folder.length(STARTED):
                # Of a job that ran for a while: others leave it as it was.
                files.append(folder.open(STARTED, CHANGE))
            if not _is_clean(files[0], name):
                return False
            empty = self._emptiness(folder, known, shows)
            if empty is None:
                return False
            if MASK_FILE in names:
                folder.remove(MASK_FILE)
            if LIVE in names:
                # A plain file of ours, from when it was settled. First, so that nothing is lost.
                folder.touch(LIVE)
                folder.move(LIVE, log)
            path = self._name()
            # Away from its name first: whatever happens from here on, it is no attempt any more.
            rename(directory, path)
            if not folder.is_at(path):
                # Somebody has put something else there meanwhile. It is removed at the next start.
                return False
            for file in (STARTED, EXIT):
                folder.rename(file, file + DRAFT)
            for descriptor in files:
                os.ftruncate(descriptor, 0)
        except OSError:
            return False
        finally:
            for descriptor in files:
                os.close(descriptor)
        self._ready.append((path, empty))
        return True

    def _emptiness(
        self, directory: Folder, known: Emptiness = _UNKNOWN, shows: bool = False
    ) -> Emptiness | None:
        """How the folders are, if all of them are empty. They are not looked into where that is
        `known` and any change `shows`. OSError when one is missing."""
        now = time.monotonic()
        found = map(directory.look, self.folders)
        marks = tuple([(entry.st_ino, entry.st_ctime_ns) for entry in found])
        same = marks == known.marks
        if not (same and shows) and not all(map(directory.untouched, self.folders)):
            return None
        return known if same else Emptiness(now, marks)

    def _name(self) -> str:
        return f"{self._root}{os.sep}{SPARE}{next(self._numbers)}"


def _is_clean(record: int, attempt: str) -> bool:
    """Whether this open record of an end is the attempt's, and says that nothing of it lives."""
    text = os.read(record, _LONGEST)
    whole, beginning = len(text) < _LONGEST, f'{RECORD_BEGINNING}"{attempt}",'.encode()
    if whole and text.startswith(beginning) and text.endswith(_CLEAN_END):
        # As nearly all are: to decode it costs as much as four system calls.
        return True
    try:
        body = from_json(text)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get(CLEAN) is True and body.get(KEY) == attempt


def make_empty(path: Path | str, folders: Iterable[str]) -> None:
    """Make a directory with these folders in it; one of that name is removed first."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        remove_tree(Path(path))
        os.mkdir(path, 0o700)
    for folder in folders:
        os.mkdir(f"{path}{os.sep}{folder}", 0o700)


def _remove(path: Path | str) -> None:
    with suppress(OSError):
        remove_tree(Path(path))
