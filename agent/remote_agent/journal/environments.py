"""Prepared environments of Python jobs: those that no job uses go when they are too much together.

Touches the folder `environments` of the state directory; `planning/environment.py` makes what is in
it, and says what its files mean. What lies in a user's folder may be of that user's making: nothing
of it is believed but names and times, and no link is followed.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from remote_agent.journal.trash import Trash
from remote_agent.planning.python import ENVIRONMENTS
from remote_agent.processes import KEEP, Account, lock_file, open_file
from remote_protocol.units import format_size

log = structlog.get_logger("janitor")

_LOCK: Final = ".lock"
_COMPLETE: Final = "complete"
_SPARED: Final = 60.0
"""Seconds after its last use for which an environment stays in any case: between its preparation
and its job there is a moment in which nobody has its lock."""
_AT_ONCE: Final = 100
"""Environments deleted in one go."""
_PASSABLE: Final = 0o711
_MOST: Final = 1_000_000
"""Files of one environment that are counted."""


class Environment(NamedTuple):
    """One prepared environment."""

    path: str
    used_at: float
    size: int


class EnvironmentCache:
    """The prepared environments of one agent, in its state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / ENVIRONMENTS
        self._trash = Trash(self._root)
        self._sizes: dict[tuple[str, float], int] = {}

    def prepare(self, user: Account) -> None:
        """Make the folder of another user than the agent's, which his jobs cannot make. OSError."""
        self._root.mkdir(mode=_PASSABLE, exist_ok=True)
        self._root.chmod(_PASSABLE)
        own = self._root / str(user.uid)
        own.mkdir(mode=0o700, exist_ok=True)
        os.chown(own, user.uid, user.gid)  # type: ignore[attr-defined,unused-ignore]

    def trim(self, most: int) -> int:
        """Remove what was used longest ago, until the rest takes at most so many bytes; how many
        were removed. Slow where there is much: call it in a thread."""
        if not self._root.exists():
            return 0
        found = sorted(self._found(), key=lambda one: one.used_at)
        total, removed, freed = sum(one.size for one in found), 0, 0
        oldest = time.time() - _SPARED
        for one in found:
            broken_off = one.used_at == 0.0
            if (total <= most and not broken_off) or one.used_at > oldest:
                continue
            if self._remove(one.path):
                total -= one.size
                removed, freed = removed + 1, freed + one.size
        self._trash.purge(_AT_ONCE)
        if removed:
            log.info("removed environments of Python jobs", number=removed, size=format_size(freed))
        return removed

    def _remove(self, path: str) -> bool:
        """Throw one away that nobody uses or prepares; whether that was so. It is moved out of its
        user's reach first: whatever he puts there meanwhile, nothing else is deleted."""
        try:
            lock = open_file(path + _LOCK, KEEP)
        except OSError:
            return False
        try:
            if not stat.S_ISREG(os.fstat(lock).st_mode) or not lock_file(lock):
                return False
            try:
                self._trash.take(Path(path))
            finally:
                os.unlink(path + _LOCK)
        except OSError as error:
            log.warning("an environment cannot be removed", path=path, reason=error.strerror)
            return False
        finally:
            os.close(lock)
        return True

    def _found(self) -> Iterator[Environment]:
        """All of them; those that are not complete were used at 0."""
        sizes: dict[tuple[str, float], int] = {}
        for user in _folders(self._root):
            if not os.path.basename(user).isdecimal():  # the trash
                continue
            for path in _folders(user):
                made_at = os.lstat(path).st_mtime
                try:
                    used_at = os.lstat(os.path.join(path, _COMPLETE)).st_mtime
                except OSError:
                    used_at = 0.0
                known = self._sizes.get((path, made_at)) if used_at else None
                size = _size(path) if known is None else known
                sizes[path, made_at] = size
                yield Environment(path, used_at, size)
        self._sizes = sizes


def _folders(folder: Path | str) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield entry.path


def _size(path: str) -> int:
    """Bytes that it takes on the disk."""
    size = files = 0
    for folder, _, names in os.walk(path):
        for name in names:
            files += 1
            with suppress(OSError):
                found = os.lstat(os.path.join(folder, name))
                if stat.S_ISREG(found.st_mode):
                    size += getattr(found, "st_blocks", 0) * 512
        if files > _MOST:
            break
    return size
