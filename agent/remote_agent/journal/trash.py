"""What waits to be deleted: moved away at once, deleted later, a little at a time.

Touches the folder `.trash` beside what is thrown away. What cannot be deleted is said once, and
tried again from time to time; it holds up nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from remote_agent.processes import remove_tree, rename, restore_access

log = structlog.get_logger("journal")

NAME: Final = ".trash"
AGAIN: Final = 3600.0
"""Seconds until what could not be deleted is tried again."""


class Trash:
    """The trash of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / NAME
        self._stuck: dict[str, float] = {}

    def take(self, path: Path) -> None:
        """Move something here; nothing for what is not there. OSError when that is impossible."""
        with suppress(FileNotFoundError):
            try:
                self._move(path)
            except PermissionError:
                # A folder that its job has closed cannot be moved: that writes its entry `..`.
                restore_access(path, 0o700)
                self._move(path)

    def _move(self, path: Path) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        number = 0
        while True:
            target = self._folder / f"{path.name}.{number}"
            if os.path.lexists(target):
                number += 1
                continue
            rename(path, target)
            return

    def purge(self, most: int) -> int:
        """Delete up to so many entries; how many. Slow: call it in a thread."""
        done, now = 0, time.monotonic()
        for name in self._names():
            if done >= most:
                break
            if now - self._stuck.get(name, -AGAIN) < AGAIN:
                continue
            try:
                remove_tree(self._folder / name)
            except OSError as error:
                where = error.filename or str(self._folder / name)
                if name not in self._stuck:
                    log.warning(
                        "something in the trash cannot be deleted; trying again in an hour",
                        path=where,
                        reason=error.strerror,
                    )
                self._stuck[name] = now
            else:
                self._stuck.pop(name, None)
                done += 1
        return done

    def _names(self) -> Iterator[str]:
        try:
            entries = os.scandir(self._folder)
        except FileNotFoundError:
            return
        except PermissionError:
            restore_access(self._folder, 0o700)
            entries = os.scandir(self._folder)
        with entries:
            for entry in entries:
                yield entry.name
