"""A booted host with an ssh server, a remote-server, and a machine that plays the role on it.

The tests of the role build on each other, in the order of their lines, as a host's life does.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.ansible.control import BIN, ROOT, Control
from tests.binary.builds import rewrapped
from tests.systemd.host import URL, Host
from tests.systemd.machine import Machine, missing
from tests.systemd.programs import install

PROGRAMS = (
    "systemd-nspawn",
    "nsenter",
    "setpriv",
    "unshare",
    "ssh",
    "ssh-keygen",
    "/usr/sbin/sshd",
)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Where all of this run lies: in memory, and seen by this run only. Nothing of it is left, not
    by a run that is killed either."""
    assert os.geteuid() == 0, "make test-ansible needs root, to boot systemd in a container"
    own, outer = (os.readlink(f"/proc/{process}/ns/mnt") for process in ("self", os.getppid()))
    assert own != outer, "start this with unshare --mount, as make test-ansible does"
    folder = Path("/mnt")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="session")
def host(folder: Path) -> Iterator[Host]:
    """A host with a server, whose jobs are looked at with remotectl."""
    lacking = missing([*PROGRAMS, str(BIN / "ansible-playbook")])
    assert not lacking, f"this machine lacks {', '.join(lacking)}; make test-ansible installs them"
    with Machine(folder / "machine") as machine:
        install(machine.root, "/opt/remote/1")
        machine.boot()
        host = Host(machine)
        host.start_server()
        yield host


@pytest.fixture(scope="session")
def old() -> Path:
    """The binary of `make build`."""
    file = ROOT / "dist" / "remote-agent"
    assert file.exists(), "make build first; make test-ansible does"
    return file


@pytest.fixture(scope="session")
def new(folder: Path) -> Path:
    """The binary of another version, 9.9.9."""
    (folder / "new").mkdir()
    return rewrapped(folder / "new")


@pytest.fixture(scope="session")
def control(host: Host, folder: Path, old: Path) -> Control:
    """Plays the role on the host, with the variables of an admin that has an API token."""
    control = Control(host.machine, folder)
    control.open_door()
    for queue in ("berlin", "monitors"):
        host.ctl("queue", "create", queue)
    control.variables = {
        "remote_agent_server": URL,
        "remote_agent_api_token": host.machine.call(
            "cat", "/var/lib/test-server/admin-token"
        ).strip(),
        "remote_agent_file": str(old),
        "remote_agent_checksum": f"sha256:{sha256(old.read_bytes()).hexdigest()}",
        "remote_agent_queues": ["default", "berlin"],
        "remote_agent_labels": {"gpu": "false"},
        "remote_agent_capacity": 4,
    }
    return control
