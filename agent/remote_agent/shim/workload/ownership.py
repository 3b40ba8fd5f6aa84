"""Whose the files are that a container and its agent share. Touches the job's own directories.

A container may run as any user. So that it can use the job's directories they are opened, where
nobody else can reach them; and what it leaves there as another user is given back to the agent at
the end, which could not remove it otherwise unless it is root.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from remote_agent.shim.order import Order
from remote_agent.shim.workload.client import call_now
from remote_agent.shim.workload.container_words import told

_LIMIT: Final = 60.0
"""Seconds for which giving files back may take."""
_FOR_OTHERS: Final = 0o077


class Ownership:
    """The shared files of one attempt."""

    def __init__(self, order: Order) -> None:
        options = order.options
        self._order = order
        self._folders = [str(folder) for folder in options["folders"]]
        self._engine = str(options["engine"])
        self._environ: dict[str, str] = dict(options["environ"])
        self._name = f"{options['name']}-files"

    @property
    def words(self) -> list[str]:
        """Whom the container runs as, where the owner of the host decides that."""
        order = self._order
        if order.uid is None:
            return []
        groups = [f"--group-add={group}" for group in order.groups]
        return [f"--user={order.uid}:{order.gid}", *groups]

    def prepare(self) -> None:
        """Open the job's directories to whomever the container runs as, if no other user of the
        host can reach them there. OSError is no reason not to start."""
        if self._order.uid is not None:
            return
        for folder in self._folders:
            try:
                if not os.stat(os.path.dirname(folder)).st_mode & _FOR_OTHERS:
                    _open(folder)
            except OSError:
                continue

    def restore(self) -> str:
        """Give what belongs to others to the agent's user; why that failed, in a sentence."""
        user = getattr(os, "geteuid", lambda: 0)()
        if user == 0 or not any(_foreign(folder, user) for folder in self._folders):
            return ""
        done, said = call_now(self._command(user), self._environ, _LIMIT)
        if done and not any(_foreign(folder, user) for folder in self._folders):
            return ""
        call_now([self._engine, "rm", "--force", self._name], self._environ, _LIMIT)
        return (
            "files that its container has written as another user cannot be given to the agent: "
            f"{told(said)}; they stay until root removes them: {', '.join(self._folders)}"
        )

    def _command(self, user: int) -> list[str]:
        if self._engine.endswith("podman"):
            # In the name space of this user's containers, whose root he is.
            return [self._engine, "unshare", "chown", "-Rh", "0:0", *self._folders]
        options, group = self._order.options, os.getegid()  # type: ignore[attr-defined,unused-ignore]
        mounts = [word for word in options["create"] if str(word).startswith("type=bind,")]
        return [
            *(self._engine, "run", "--rm", f"--name={self._name}", "--pull=never"),
            *("--network=none", "--user=0:0", "--log-driver=none", "--pids-limit=64"),
            *("--security-opt=no-new-privileges", "--entrypoint=chown"),
            *(word for word in options["create"] if str(word).startswith("--label=")),
            *(word for mount in mounts[: len(self._folders)] for word in ("--mount", mount)),
            *(self._order.argv[0], "-Rh", f"{user}:{group}", *self._folders),
        ]


def _open(path: str) -> None:
    """Let everybody read and write it and all below, as its owner may."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            _widen(os.path.join(folder, name))
    _widen(path)


def _widen(path: str) -> None:
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    owner = (mode & 0o700) >> 6
    os.chmod(path, mode | owner << 3 | owner)


def _foreign(path: str, user: int) -> bool:
    """Whether anything there belongs to somebody else, or cannot be looked at."""
    closed: list[OSError] = []
    try:
        if os.lstat(path).st_uid != user:
            return True
    except FileNotFoundError:
        return False
    for folder, folders, files in os.walk(path, onerror=closed.append):
        for name in (*folders, *files):
            if os.lstat(os.path.join(folder, name)).st_uid != user:
                return True
    return any(isinstance(error, PermissionError) for error in closed)
