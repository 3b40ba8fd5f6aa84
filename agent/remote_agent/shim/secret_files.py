"""Secrets that a job gets as files: in a folder in memory, for its user only. Writes there.

A container sees them at a place of its own, whoever it runs as: so there is a second folder, which
everybody may read, inside of one that nobody else can enter.

The folder is made for one attempt and goes with it, before its end is told. What a shim that was
killed has left, the agent removes (`journal.secret_folders`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.processes import chown_tree, remove_tree
from remote_agent.shim.order import Order, OrderError

FILE_SUFFIX: Final = "_FILE"
"""After a secret's name: the variable that has its file's path."""
_OPENED: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_MODE: Final = 0o400
SHARED: Final = "files"
"""The folder that a container sees, in that of its attempt."""
_SHARED_FOLDER: Final = 0o755
_SHARED_FILE: Final = 0o444
IN_CONTAINER: Final = "/run/remote-secrets"
"""Where a container sees it: an engine has a file system of its own at `/dev/shm`."""


class SecretFiles:
    """The files of one attempt, there until `remove`; nothing where its order names none.

    OrderError, with nothing left, when they cannot be made.
    """

    def __init__(self, order: Order, secrets: Mapping[str, str]) -> None:
        self._order = order
        self._path = ""
        self._folder: int | None = None
        self.variables: dict[str, str] = {}
        """Where each of them is, for the job's environment."""
        self.shared = ""
        """The folder that a container is to see at `IN_CONTAINER`; empty for other jobs."""
        self._in_container = order.workload == "container"
        if order.secret_files:
            self._make(secrets)

    def _make(self, secrets: Mapping[str, str]) -> None:
        order = self._order
        path = f"{order.secret_prefix}{order.key}-{os.urandom(8).hex()}"
        try:
            os.mkdir(path, 0o700)
            self._path = seen = path
            if self._in_container:
                path, seen = os.path.join(path, SHARED), IN_CONTAINER
                os.mkdir(path)
                # Not by mkdir: the umask is the host's to choose.
                os.chmod(path, _SHARED_FOLDER)
                self.shared = path
            self._folder = os.open(path, _OPENED)
            for name in order.secret_files:
                self._write(name, secrets[name].encode())
                if self.shared:
                    os.chmod(os.path.join(path, name), _SHARED_FILE)
                self.variables[f"{name}{FILE_SUFFIX}"] = os.path.join(seen, name)
            if order.uid is not None:
                chown_tree(self._path, order.uid, order.gid)
        except OSError as error:
            self.remove()
            place = os.path.dirname(order.secret_prefix)
            raise OrderError(
                f"the secrets that it takes as files cannot be written in {place}: {error.strerror}"
            ) from None

    def _write(self, name: str, data: bytes) -> None:
        descriptor = os.open(name, _NEW, _MODE, dir_fd=self._folder)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Take them away, also when the job has given their folder another name. Idempotent."""
        if self._folder is not None:
            for name in self._order.secret_files:
                with suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)
            os.close(self._folder)
            self._folder = None
        if self._path:
            with suppress(OSError):
                remove_tree(Path(self._path))
            self._path = ""
