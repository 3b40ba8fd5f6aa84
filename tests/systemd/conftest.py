"""One booted systemd for all tests of this folder, with a server and two versions of the programs.

The tests build on each other, in the order of their files and lines, as a host's life does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.host import Host
from tests.systemd.machine import Machine, missing
from tests.systemd.programs import install

PROGRAMS = ("systemd-nspawn", "systemctl", "nsenter", "setpriv", "mount", "dbus-daemon")


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """A host on which nothing is installed but the programs, with a server that runs."""
    assert os.geteuid() == 0, "make test-systemd needs root, to boot systemd in a container"
    lacking = missing(PROGRAMS)
    assert not lacking, f"this machine lacks {', '.join(lacking)}; make test-systemd installs them"
    with (
        tempfile.TemporaryDirectory(prefix="remote-systemd-") as folder,
        Machine(Path(folder) / "machine") as machine,
    ):
        for number in (1, 2):
            install(machine.root, f"/opt/remote/{number}", f"0.{number}.0")
        machine.boot()
        host = Host(machine)
        host.start_server()
        yield host
