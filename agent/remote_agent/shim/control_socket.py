"""The socket by which a shim is told things: at the name `control` in its attempt's directory.

Making and deleting a file is dear, so a reused shim makes one socket, in the folder of all shims
(`layout.SHIMS`), and gives it a second name in the directory of each attempt (link(2)) for as long
as that runs. Where that cannot be, and for shims of one attempt, the attempt gets a socket of its
own. Touches these names only.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from remote_agent.processes import DatagramSocket, Folder, start_time
from remote_agent.shim.layout import CONTROL, SHIMS


def forget_dead(folder: Path) -> None:
    """Remove from the folder of all shims what those have left that were killed."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.isdecimal() and start_time(int(name)) is None:
                os.unlink(folder / name)


class ControlSocket:
    """The socket of one shim. `reused`: whether it will run more than one attempt.

    What was meant for the attempt before may still come: messages name their attempt.
    """

    def __init__(self, reused: bool) -> None:
        self._reused = reused
        self._kept: DatagramSocket | None = None
        self._home = ""
        self._socket: DatagramSocket | None = None
        self._name = ""

    def serve_one(self) -> None:
        """The next attempt is the shim's last: one that had none before needs no socket that lasts
        longer."""
        self._reused = self._kept is not None

    def appear(self, directory: Folder) -> DatagramSocket:
        """Listen in this directory, which must have been entered, by the socket that is returned,
        until `vanish`. OSError when the disk refuses."""
        self._name = directory.here(CONTROL)
        if self._reused:
            try:
                self._socket = self._linked(directory)
                return self._socket
            except OSError:
                # Somebody has removed the folder, or the file system has no second names.
                pass
        self._socket = DatagramSocket(self._name)
        return self._socket

    def _linked(self, directory: Folder) -> DatagramSocket:
        if self._kept is None:
            folder = directory.here(SHIMS)
            with suppress(FileExistsError):
                os.mkdir(folder, 0o700)
            self._home = os.path.join(os.path.abspath(folder), str(os.getpid()))
            self._kept = DatagramSocket(f"{folder}/{os.getpid()}")
        try:
            os.link(self._home, self._name, follow_symlinks=False)
        except FileExistsError:
            # The name of a process that died: whoever holds the folder's lock may take it.
            os.unlink(self._name)
            os.link(self._home, self._name, follow_symlinks=False)
        return self._kept

    def vanish(self) -> None:
        """Take the name out of the attempt's directory, which is still entered."""
        if self._socket is None:
            return
        if self._socket is self._kept:
            try:  # noqa: SIM105 - suppress() takes longer than the call, for each job
                os.unlink(self._name)
            except OSError:
                pass
        else:
            self._socket.remove()
        self._socket = None

    def close(self) -> None:
        """Listen nowhere any more: the shim ends."""
        if self._kept is not None:
            self._kept.close()
            with suppress(OSError):
                os.unlink(self._home)
            self._kept = None
