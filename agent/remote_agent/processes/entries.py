"""What the names in a folder stand for, asked in the same way on every platform. Touches the disk.

The folder itself is opened differently: each platform's `Folder` gives the few calls below.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self


class Entries:
    """A folder whose names can be looked at, renamed and deleted. No link is followed."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; its lock goes with it."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """All names in it."""
        raise NotImplementedError

    def look(self, name: str) -> os.stat_result:
        """What a name stands for. FileNotFoundError when there is none."""
        raise NotImplementedError

    def rename(self, name: str, other: str) -> None:
        """Give a file in it another name, in place of what has it: another file, or a link, not a
        directory."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Delete a file in it."""
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        """Whether there is such a name in it."""
        try:
            self.look(name)
        except FileNotFoundError:
            return False
        return True

    def plain(self, name: str) -> bool:
        """Whether there is a plain file of this name in it."""
        return bool(self.sizes(name.__eq__, [name]))

    def sizes(
        self, wanted: Callable[[str], bool], names: Iterable[str] | None = None
    ) -> dict[str, int]:
        """Lengths of the plain files in it whose names are wanted; of all `names` by default."""
        found = {}
        for name in filter(wanted, self.names() if names is None else names):
            with suppress(FileNotFoundError):
                entry = self.look(name)
                if stat.S_ISREG(entry.st_mode):
                    found[name] = entry.st_size
        return found

    def changed_at(self, name: str) -> float | None:
        """Unix time at which a file in it was changed; None when there is no such name."""
        try:
            return self.look(name).st_mtime
        except FileNotFoundError:
            return None

    def clear(self, name: str) -> None:
        """Have a name be free: a file is deleted, a directory gets another name."""
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(self.look(name).st_mode):
                self.rename(name, f"odd.{time.time_ns()}.{name}")
            else:
                self.remove(name)
