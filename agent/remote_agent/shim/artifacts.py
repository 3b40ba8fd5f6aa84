"""The job's artifacts: which files it has left in `REMOTE_ARTIFACTS`. Looks there, writes a list.

The list is made once, when the job's last process has ended: from then on a file has its number,
and whatever is killed later, numbers and names stay. Nothing is read of the files themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from remote_agent.processes import FileBelow, Folder, files_below
from remote_agent.shim.filters import Filters
from remote_agent.shim.layout import ARTIFACT_LIST, ARTIFACTS
from remote_agent.shim.order import Order
from remote_agent.shim.record import write_record
from remote_protocol.artifact_names import name_fault
from remote_protocol.limits import MAX_ARTIFACT_DEPTH, MAX_ARTIFACTS
from remote_protocol.units import plain_size

COUNT: Final = "artifacts"
WARNING: Final = "artifacts_warning"
"""Fields of the exit record; without artifacts there is neither."""
_MOST_LOOKED_AT: Final = 20_000
"""Entries, folders among them: a job may leave millions."""
_MOST_NAMES: Final = 512 * 1024
"""Bytes of all names together: the list is a record of 1 MiB at the most."""
_MOST_TOLD: Final = 3


def list_artifacts(directory: Folder, order: Order, filters: Filters | None) -> dict[str, Any]:
    """Write the list of artifacts, if there are any; what the exit record says of them. OSError
    when the disk does not take it."""
    if order.home is None and _is_empty(directory.here(ARTIFACTS)):
        return {}
    home = directory.here(".") if order.home is None else order.home
    found = _Found(order.max_artifacts, _finder(filters))
    try:
        for entry in files_below(home, ARTIFACTS, MAX_ARTIFACT_DEPTH - 1):
            if not found.take(entry):
                break
    except FileNotFoundError:
        return {}
    except OSError as error:
        return {WARNING: f"REMOTE_ARTIFACTS was not looked at: {error.strerror}"}
    if not found.files and not found.left_out:
        return {}
    if found.files:
        uid = order.uid if order.exclusive_user else None
        body = {"files": found.files, "uid": uid}
        write_record(directory, ARTIFACT_LIST, body, order.sync)
    return {COUNT: len(found.files), WARNING: found.sentence()}


def _is_empty(path: str) -> bool:
    """Whether there is nothing in a folder, as for most jobs. Of a link that leads elsewhere
    nothing but this is learnt."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def _finder(filters: Filters | None) -> Callable[[bytes], bool]:
    """Whether the filter of the log would change a text."""
    return lambda text: filters is not None and filters.whole(text) != text


class _Found:
    """What was found so far, within the bounds."""

    def __init__(self, most: int, secret: Callable[[bytes], bool]) -> None:
        self.files: list[tuple[str, int]] = []
        self.left_out: list[str] = []
        self._most = most
        self._secret = secret
        self._looked_at = self._size = self._names = self._more = 0

    def take(self, entry: FileBelow) -> bool:
        """Note it, if it is a file that can be sent; False when nothing more is looked at."""
        self._looked_at += 1
        if self._looked_at > _MOST_LOOKED_AT:
            self._leave(f"there are more than {_MOST_LOOKED_AT} files and folders")
            return False
        if entry.odd is None:
            return True
        fault = entry.odd or self._fault(entry)
        if fault:
            self._leave(f"{self._shown(entry.name)}: {fault}")
        else:
            self.files.append((entry.name, entry.size))
            self._size += entry.size
            self._names += len(entry.name.encode())
        return True

    def _fault(self, entry: FileBelow) -> str:
        try:
            raw = entry.name.encode()
        except UnicodeEncodeError:
            return "its name is not text in UTF-8"
        if fault := name_fault(entry.name):
            return fault
        if self._secret(raw):
            return "its name holds a secret of the job"
        if len(self.files) == MAX_ARTIFACTS or self._names + len(raw) > _MOST_NAMES:
            return f"there are more than {MAX_ARTIFACTS} files, or their names are too long"
        if self._size + entry.size > self._most:
            return f"all together are larger than {plain_size(self._most)}"
        return ""

    def _shown(self, name: str) -> str:
        try:
            clean = name.isprintable() and not self._secret(name.encode())
        except UnicodeEncodeError:
            clean = False
        return repr(name[:100]) if clean else "a file"

    def _leave(self, why: str) -> None:
        if len(self.left_out) < _MOST_TOLD:
            self.left_out.append(why)
        else:
            self._more += 1

    def sentence(self) -> str:
        """What was left out, in words; empty when nothing was."""
        if not self.left_out:
            return ""
        more = f"; and {self._more} more" if self._more else ""
        return f"artifacts were left out: {'; '.join(self.left_out)}{more}"
