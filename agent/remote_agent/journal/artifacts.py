"""Artifacts of settled attempts that are still to be sent: their lists and files. Reads both.

The list is the shim's, but a job that runs as the agent's user can have written another one: what
is in it is checked like anything of a job's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from remote_agent.journal.files import JobFiles
from remote_agent.journal.settled import keep_log
from remote_agent.journal.trash import Trash
from remote_agent.journal.users import Users
from remote_agent.processes import Folder, open_below
from remote_agent.shim.layout import ARTIFACT_LIST, ARTIFACTS
from remote_agent.shim.record import read_record
from remote_protocol.artifact_names import name_fault
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_ARTIFACTS

log = structlog.get_logger("journal")


class ListedFile(NamedTuple):
    """A file that is to be sent."""

    number: int
    name: str
    size: int


class ArtifactList(NamedTuple):
    """What a shim has noted of an attempt's artifacts."""

    files: list[ListedFile]
    uid: int | None
    """The user whom only this attempt's job was."""


def read_list(directory: Path) -> ArtifactList:
    """The list in an attempt's directory; an empty one when there is none, or nothing can be made
    of it. OSError when it cannot be read."""
    with Folder(directory) as folder:
        body = read_record(folder, ARTIFACT_LIST) or {}
    files = body.get("files")
    files = files[:MAX_ARTIFACTS] if isinstance(files, list) else []
    uid = body.get("uid")
    listed = [_listed(number, entry) for number, entry in enumerate(files, start=1)]
    return ArtifactList(
        [file for file in listed if file is not None], uid if isinstance(uid, int) else None
    )


def _listed(number: int, entry: Any) -> ListedFile | None:
    match entry:
        case [str(name), int(size)] if not name_fault(name) and 0 <= size < 1 << 63:
            return ListedFile(number, name, size)
    return None


class ArtifactFiles:
    """The artifacts of all attempts of an agent. `path` says where an attempt's directory is,
    `trash` takes what is in one."""

    def __init__(
        self, path: Callable[[AttemptId], Path], files: JobFiles, users: Users, trash: Trash
    ) -> None:
        self._path = path
        self._files = files
        self._users = users
        self._trash = trash
        self.pending: set[AttemptId] = set()
        """Settled attempts whose artifacts are to be sent."""
        self.on_pending: Callable[[AttemptId], None] = self.pending.add
        """Hears of each more."""

    def settle(self, key: AttemptId, folder: Folder) -> None:
        """An attempt is settled, and has some: its log stays, and so do they and its user until
        they are sent. OSError."""
        self._files.discard_work(key)
        keep_log(folder)
        self.pending.add(key)
        self.on_pending(key)

    def find(self, key: AttemptId) -> None:
        """A settled attempt with some was found on the disk."""
        try:
            listed = read_list(self._path(key))
        except OSError as error:
            log.warning("artifacts cannot be sent", attempt=str(key), reason=error.strerror)
            return
        self._users.hold(key, listed.uid)
        self.pending.add(key)

    def files(self, key: AttemptId) -> list[ListedFile]:
        """Those of an attempt. OSError."""
        return read_list(self._path(key)).files

    def open(self, key: AttemptId, name: str) -> int:
        """A descriptor of one of them. OSError, also when it is no plain file any more."""
        home = self._files.paths(str(self._path(key))).folder
        return open_below(home, ARTIFACTS, name)

    def done(self, key: AttemptId) -> None:
        """All are sent or given up: only the log stays. OSError when they cannot be removed."""
        self.drop(key)
        self._files.discard(key)
        directory = self._path(key)
        try:
            with Folder(directory) as folder:
                folder.clear(ARTIFACT_LIST)
                has_log = any(name.startswith("output.") for name in folder.names())
        except FileNotFoundError:
            return
        self._trash.take(directory / ARTIFACTS if has_log else directory)

    def drop(self, key: AttemptId) -> None:
        """Nothing of them is sent any more."""
        if key in self.pending:
            self.pending.discard(key)
            self._users.release(key)
