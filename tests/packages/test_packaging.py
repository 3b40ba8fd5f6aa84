"""What is in the packages, and how their versions are ordered."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from remote_agent.service.units import Choice, agent_unit, jobs_unit
from tests.packages.managers import ROOT, pack

DEB = "remote-agent_0.1.0_amd64.deb"
CHOICE = Choice("/usr/bin/remote-agent")


def test_the_units_are_those_that_service_install_would_write(packages: Path) -> None:
    """Else it would write its own beside them."""
    packed = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", packages / DEB], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for name, text in (
            ("remote-agent.service", agent_unit(CHOICE)),
            ("remote-agent-jobs.service", jobs_unit(CHOICE)),
        ):
            file = archive.extractfile(f"./usr/lib/systemd/system/{name}")
            assert file is not None and file.read().decode() == text
        odd = [
            entry.name
            for entry in archive
            if entry.uid or entry.gid or entry.mode & 0o7022 or not (entry.isdir() or entry.isreg())
        ]
    assert odd == []


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("1.0rc1", "1.0"), ("1.0.dev3", "1.0a1"), ("1.0a2", "1.0b1"), ("1.9", "1.10")],
)
def test_what_comes_before_a_release_sorts_before_it(
    tmp_path: Path, earlier: str, later: str
) -> None:
    tiny = tmp_path / "remotectl"
    tiny.write_text("#!/bin/sh\n")
    versions = []
    for version in (earlier, later):
        pack("remotectl", version, tiny, tmp_path)
        (deb,) = tmp_path.glob("*.deb")
        command = ["dpkg-deb", "--field", str(deb), "Version"]
        asked = subprocess.run(command, check=True, capture_output=True, text=True)
        versions.append(asked.stdout.strip())
        deb.unlink()
    first, second = versions
    subprocess.run(["dpkg", "--compare-versions", first, "lt", second], check=True)


def test_the_same_binary_gives_the_same_packages(tmp_path: Path) -> None:
    binary, sums = ROOT / "dist" / "remotectl", []
    for name, umask in (("one", 0o022), ("other", 0o077)):
        (tmp_path / name).mkdir()
        pack("remotectl", "0.1.0", binary, tmp_path / name, umask)
        files = sorted(path for path in (tmp_path / name).iterdir() if path.is_file())
        sums.append([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files])
    assert len(sums[0]) == 2 and sums[0] == sums[1]
