"""A clean host on which packages are installed. The server that it has, and `remotectl`, are this
checkout's: they run in the host's network, and nothing of theirs is on its disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.systemd.host import URL, Host
from tests.systemd.machine import DEADLINE, Machine, until
from tests.systemd.traces import settled

BIN = Path(sys.executable).parent
# Written by dpkg, apt and rpm, whatever they install.
_MANAGERS = ("/var/lib/dpkg", "/var/lib/apt", "/root/.rpmdb", "/packages")


class CleanHost(Host):
    """The agent is what a package has brought."""

    def __init__(self, machine: Machine, data: Path) -> None:
        super().__init__(machine)
        self._data = data
        self._server: subprocess.Popen[bytes] | None = None

    def start_server(self) -> None:
        """Start a server, and wait until it answers."""
        command = ["remote-server", "run", "--data-dir", str(self._data)]
        with (self._data.parent / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self._beside(*command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        token = self._data / "admin-token"
        until(token.exists, "the server makes its admin token")
        until(lambda: self.remotectl("queue", "list").returncode == 0, "a server")

    def stop_server(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.terminate()
            self._server.wait(DEADLINE)

    def admin(self) -> dict[str, str]:
        """The environment of somebody who administers the server."""
        return {"REMOTE_URL": URL, "REMOTE_TOKEN": (self._data / "admin-token").read_text().strip()}

    def remotectl(self, *words: object) -> subprocess.CompletedProcess[str]:
        """`remotectl …` with the server's admin token."""
        return subprocess.run(
            self._beside("remotectl", *map(str, words)),
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._data.parent), **self.admin()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _beside(self, program: str, *words: str) -> list[str]:
        """A program of this checkout in the host's network."""
        return ["nsenter", "-t", str(self.machine.leader), "-n", "--", str(BIN / program), *words]

    def agent(self, *words: object, version: int = 0) -> subprocess.CompletedProcess[str]:
        """`remote-agent …` as root."""
        return self.machine.run("remote-agent", *words)

    def token_file(self, path: str = "/root/token") -> str:
        """A registration token in a file of mode 0600; its path on the host."""
        outside = self.machine.root / path.lstrip("/")
        outside.unlink(missing_ok=True)
        self.ctl("registration-token", "create", "--allow-replace", "--output-file", outside)
        return path

    def traces(self) -> set[tuple[str, str]]:
        """What differs from the clean host, but for what package managers write."""
        return {entry for entry in settled(self) if not entry[0].startswith(_MANAGERS)}

    def users(self) -> set[tuple[str, str]]:
        """The lines of the databases of users and groups."""
        found = [self.machine.call("getent", name) for name in ("passwd", "group")]
        return {(line, "") for text in found for line in text.splitlines()}
