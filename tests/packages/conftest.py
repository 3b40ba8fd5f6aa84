"""One clean host, booted, for all tests of this folder: they build on each other, in the order of
their lines, once for each family of package managers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.binary.builds import rewrapped
from tests.packages.host import CleanHost
from tests.packages.managers import ROOT, Debian, Manager, RedHat, pack
from tests.systemd.machine import Machine, missing

PROGRAMS = ("systemd-nspawn", "nsenter", "setpriv", "mount", "dpkg-deb")
NEW = "9.9.9"
MANAGERS: dict[str, type[Debian] | type[RedHat]] = {"deb": Debian, "rpm": RedHat}


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Where all of this run lies."""
    with tempfile.TemporaryDirectory(prefix="remote-packages-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def base() -> Path:
    """The root of a clean host."""
    assert os.geteuid() == 0, "make test-packages needs root, to boot a host in a container"
    lacking = missing(PROGRAMS)
    assert not lacking, f"this machine lacks {', '.join(lacking)}; make test-packages installs them"
    found = ROOT / "build" / "clean-host"
    assert found.is_dir(), "make test-packages makes build/clean-host"
    return found


@pytest.fixture(scope="session")
def packages(folder: Path) -> Path:
    """The packages of `make build`, and those of the version NEW."""
    place = folder / "packages"
    place.mkdir()
    for pattern in ("*.deb", "*.rpm"):
        for file in (ROOT / "dist").glob(pattern):
            shutil.copy2(file, place)
    assert list(place.iterdir()), "make build first; make test-packages does"
    (folder / "new").mkdir()
    pack("remote-agent", NEW, rewrapped(folder / "new", NEW), place)
    shutil.rmtree(place / "work")
    return place


@pytest.fixture(scope="session")
def host(folder: Path, base: Path, packages: Path) -> Iterator[CleanHost]:
    """A host that has nothing, beside a server."""
    with Machine(folder / "machine", base) as machine:
        machine.put(packages, "/packages")
        machine.boot()
        host = CleanHost(machine, folder / "server")
        try:
            host.start_server()
            yield host
        finally:
            host.stop_server()


@pytest.fixture(scope="module", params=["deb", "rpm"])
def manager(host: CleanHost, request: pytest.FixtureRequest) -> Manager:
    """Each family in turn, on the same host."""
    return MANAGERS[request.param](host)
