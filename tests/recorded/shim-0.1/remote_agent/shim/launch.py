"""The agent's handle on its shims: starts the launcher, hands attempts over. Processes, sockets.

Every call is quick and none blocks, so an event loop may call them. The launcher is detached and
outlives nothing but its shims: when the agent is gone, running attempts go on and the rest ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from errno import EPROTONOSUPPORT
from pathlib import Path
from typing import Final

from remote_agent.processes import shim_command, shim_environment
from remote_agent.shim.layout import CONTROL, VERSION

_LONGEST_ADDRESS: Final = 100
"""sun_path has 108 bytes on Linux, 104 on macOS (unix(7))."""


class Shims:
    """A launcher and its shims. `log` is the file for what they complain about."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._control: socket.socket | None = None
        self._alone: list[subprocess.Popen[bytes]] | None = None
        """Shims without a launcher, on systems that lack its sockets (macOS)."""

    def start(self, shims: int) -> None:
        """Start the launcher with so many shims. OSError when it cannot be started."""
        self.close()
        try:
            requests, taken = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            if error.errno != EPROTONOSUPPORT:
                raise
            self._alone = []
            return
        control, controlled = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inherited = (controlled.fileno(), requests.fileno(), taken.fileno())
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    shim_command("pool", *map(str, inherited)),
                    env=shim_environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    pass_fds=inherited,
                    start_new_session=True,
                )
        except OSError:
            requests.close()
            control.close()
            raise
        finally:
            taken.close()
            controlled.close()
        requests.setblocking(False)
        control.setblocking(False)
        self._requests, self._control = requests, control
        self.resize(shims)

    @property
    def pid(self) -> int | None:
        """The launcher's pid; None when it was not started."""
        return self._process.pid if self._process else None

    def alive(self) -> bool:
        """Whether the launcher runs; reaps it when it has ended."""
        if self._alone is not None:
            self._alone = [shim for shim in self._alone if shim.poll() is None]
            return True
        return self._process is not None and self._process.poll() is None

    def resize(self, shims: int) -> None:
        """Keep so many shims from now on, free and busy ones together."""
        if self._control is not None:
            self._control.send(json.dumps({"v": VERSION, "shims": shims}).encode())

    def request(self, directory: Path) -> None:
        """Have a shim keep the attempt in this directory, as soon as one is free.

        BlockingIOError when too many wait already, OSError when the launcher is gone: ask again
        later; an attempt that is asked for twice still starts once.
        """
        if self._alone is not None:
            self._start_alone(directory)
            return
        if self._requests is None:
            raise ConnectionError("the launcher of the shims was not started")
        self._requests.send(json.dumps({"v": VERSION, "dir": str(directory)}).encode())

    def _start_alone(self, directory: Path) -> None:
        assert self._alone is not None
        with self._log.open("ab") as log:
            shim = subprocess.Popen(
                shim_command("run", str(directory)),
                env=shim_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        self._alone.append(shim)

    def close(self) -> None:
        """Let go: free shims end, those that keep an attempt go on."""
        for end in (self._requests, self._control):
            if end is not None:
                end.close()
        self._requests = self._control = None
        for process in [*([self._process] if self._process else []), *(self._alone or [])]:
            # It may live on; that is no leak of this process, so Popen must not warn.
            if process.poll() is None:
                process.returncode = 0
        self._process = self._alone = None


def tell(directory: Path, message: dict[str, object]) -> bool:
    """Send a control message to the shim that keeps this attempt; False when nobody listens."""
    body = json.dumps({"v": VERSION, **message}).encode()
    path = str(directory / CONTROL)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
                sender.sendto(body, path)
            else:
                _send_from_inside(sender, body, directory)
    except OSError:
        return False
    return True


def _send_from_inside(sender: socket.socket, body: bytes, directory: Path) -> None:
    """Send by a short name: the path of the directory is longer than a socket address."""
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.chdir(directory)
        sender.sendto(body, CONTROL)
    finally:
        os.fchdir(here)
        os.close(here)
