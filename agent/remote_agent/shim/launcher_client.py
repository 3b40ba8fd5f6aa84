"""The agent's side of its shims: starts the launcher, hands attempts over. Processes, sockets.

Every call is quick and none blocks, so an event loop may call them. The launcher is detached and
outlives nothing but its shims: when the agent is gone, running attempts go on and the rest ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from remote_agent.processes import (
    memory_file,
    send_datagram,
    send_descriptor,
    sequenced_pair,
    shim_command,
    shim_environment,
    start_detached,
)
from remote_agent.shim.json_text import quote
from remote_agent.shim.layout import CONTROL, VERSION
from remote_agent.shim.secrets import pack


class LauncherClient:
    """A launcher and its shims. `log` is the file for what they report, `descriptors` how many
    files they and their jobs may open; None: as many as this process. `place` gets the launcher's
    pid before it has shims, to move it to where they belong. `hidden` are variables of this process
    that shims do not get."""

    def __init__(
        self,
        log: Path,
        descriptors: int | None = None,
        place: Callable[[int], None] | None = None,
        hidden: Collection[str] = frozenset(),
    ) -> None:
        self._log = log
        self._place = place
        self._hidden = hidden
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._control: socket.socket | None = None
        self._alone: list[subprocess.Popen[bytes]] | None = None
        """Shims without a launcher, on systems that lack its sockets."""

    def start(self, shims: int) -> None:
        """Start the launcher with so many shims. OSError when it cannot be started."""
        self.close()
        pairs = [sequenced_pair(), sequenced_pair()]
        if pairs[0] is None or pairs[1] is None:
            self._alone = []
            return
        (requests, taken), (control, controlled) = pairs[0], pairs[1]
        inherited = (controlled.fileno(), requests.fileno(), taken.fileno())
        try:
            command = shim_command("launcher", *map(str, inherited))
            env = shim_environment(os.environ, self._hidden)
            self._process = start_detached(command, env, self._log, inherited, self._descriptors)
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
        if self._place is not None:
            self._place(self._process.pid)
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

    def request(self, directory: str | Path, secrets: Mapping[str, str] | None = None) -> None:
        """Have a shim run the attempt in this directory, as soon as one is free.

        `secrets` are the values of the variables that its order names as such. They go through
        memory to the shim and nowhere else, so they must be given with each request: a shim leaves
        an attempt alone that needs some and came without.

        BlockingIOError when too many wait already, OSError when the launcher is gone: ask again
        later; an attempt that is asked for twice still starts once. SecretsError for what no
        environment can hold.
        """
        if self._alone is None and self._requests is None:
            raise ConnectionError("the launcher of the shims was not started")
        payload = memory_file(pack(secrets)) if secrets else None
        try:
            if self._alone is not None:
                self._alone.append(self._start_alone(directory, payload))
                return
            request = f'{{"v":{VERSION},"dir":{quote(str(directory))}}}'.encode()
            assert self._requests is not None
            if payload is None:
                self._requests.send(request)
            else:
                send_descriptor(self._requests, request, payload)
        finally:
            if payload is not None:
                os.close(payload)

    def _start_alone(self, directory: str | Path, payload: int | None) -> subprocess.Popen[bytes]:
        command = shim_command("run", str(directory), *([] if payload is None else ["secrets"]))
        env, soft = shim_environment(os.environ, self._hidden), self._descriptors
        return start_detached(command, env, self._log, descriptors=soft, stdin=payload)

    def close(self) -> None:
        """Let go: free shims end, those that run an attempt go on."""
        for end in (self._requests, self._control):
            if end is not None:
                end.close()
        self._requests = self._control = None
        for process in [*([self._process] if self._process else []), *(self._alone or [])]:
            # It may live on; that is no leak of this process, so Popen must not warn.
            if process.poll() is None:
                process.returncode = 0
        self._process = self._alone = None


def tell(directory: str | Path, message: dict[str, object]) -> bool:
    """Send a control message to the shim that runs this attempt; False when nobody listens.

    It names the attempt: a shim that has gone on to the next one must not take it for that one's.
    """
    body = json.dumps({"v": VERSION, "k": os.path.basename(directory), **message}).encode()
    try:
        send_datagram(directory, CONTROL, body)
    except OSError:
        return False
    return True
