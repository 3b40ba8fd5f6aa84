"""Secrets that a job gets as files: in a folder in memory, for its user only. Writes there.

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
        if order.secret_files:
            self._make(secrets)

    def _make(self, secrets: Mapping[str, str]) -> None:
        order = self._order
        path = f"{order.secret_prefix}{order.key}-{os.urandom(8).hex()}"
        try:
            os.mkdir(path, 0o700)
            self._path = path
            self._folder = os.open(path, _OPENED)
            for name in order.secret_files:
                self._write(name, secrets[name].encode())
                self.variables[f"{name}{FILE_SUFFIX}"] = os.path.join(path, name)
            if order.uid is not None:
                chown_tree(path, order.uid, order.gid)
        except OSError as error:
            self.remove()
            place = os.path.dirname(path)
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
