"""The two families of package managers, as admins call them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.packages.host import CleanHost
from tests.systemd.machine import said

ROOT = Path(__file__).resolve().parents[2]
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from pathlib import Path\n"
    "from installers.packages import packaging\n"
    "binary, licences, work, output = map(Path, sys.argv[3:7])\n"
    "packaging.write(sys.argv[2], sys.argv[7], binary, licences, work, output, 1700000000)\n"
)


def pack(name: str, version: str, binary: Path, folder: Path, umask: int = 0o022) -> None:
    """Make the packages of a binary in a folder, as `make build` does."""
    python = ROOT / ".venv-build" / "bin" / "python"
    licences = ROOT / "dist" / "LICENSES.txt"
    words = [ROOT, name, binary, licences, folder / "work", folder, version]
    command = [str(python), "-c", _CODE, *map(str, words)]
    subprocess.run(command, check=True, timeout=600, umask=umask)


@dataclass
class Debian:
    """apt, with packages that lie in /packages."""

    host: CleanHost
    kind: str = "deb"
    edited: str = "/etc/remote-agent/agent.toml"
    """Where a configuration that its owner has changed is after the removal."""

    def install(self, file: str) -> str:
        """Install a package, or upgrade to it; what it said."""
        # No package of the host's distribution is needed, and none can be had.
        return self._apt("install", f"/packages/{file}")

    def remove(self, name: str = "remote-agent") -> str:
        return self._apt("remove", name)

    def purge(self, name: str = "remote-agent") -> str:
        return self._apt("purge", name)

    def verify(self, name: str = "remote-agent") -> list[str]:
        """The files that are not as the package brought them."""
        found = self.host.machine.run("dpkg", "--verify", name).stdout.splitlines()
        return [line.split()[-1] for line in found]

    def _apt(self, *words: str) -> str:
        flags = ["-y", "-q", "--no-install-recommends"]
        done = self.host.machine.run(
            *("apt-get", *words[:1], *flags, *words[1:]), env={"DEBIAN_FRONTEND": "noninteractive"}
        )
        assert done.returncode == 0, said(done)
        return said(done)


@dataclass
class RedHat:
    """rpm, on a host whose own packages are of the other family: it does not know what is there."""

    host: CleanHost
    kind: str = "rpm"
    edited: str = "/etc/remote-agent/agent.toml.rpmsave"

    def install(self, file: str) -> str:
        return self._rpm("-U", f"/packages/{file}")

    def remove(self, name: str = "remote-agent") -> str:
        return self._rpm("-e", name)

    def purge(self, name: str = "remote-agent") -> str:
        """rpm knows no such thing: the agent itself does it, then the package goes."""
        return self.host.service("uninstall") + self.remove(name)

    def verify(self, name: str = "remote-agent") -> list[str]:
        found = self.host.machine.run("rpm", "-V", "--nodeps", name).stdout.splitlines()
        return [line.split()[-1] for line in found]

    def _rpm(self, *words: str) -> str:
        done = self.host.machine.run("rpm", "--force-debian", "--nodeps", *words)
        assert done.returncode == 0, said(done)
        return said(done)


Manager = Debian | RedHat
