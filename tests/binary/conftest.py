"""What `make build` has built, and places to run it in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.binary.builds import rewrapped

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"


@dataclass
class Binary:
    """A binary, and the directory that it is told to unpack itself in."""

    file: Path
    programs: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [self.file, *arguments], env=self.environment, capture_output=True, text=True,
            check=check, timeout=300,
        )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """What it is started with."""
        place = {"REMOTE_AGENT_PROGRAM_DIR": str(self.programs), "PATH": os.environ["PATH"]}
        return {**place, **self.env}

    def refuses(self) -> str:
        """The one sentence with which it does not start."""
        done = self.run("--version", check=False)
        assert done.returncode == 1 and done.stdout == "", done
        assert done.stderr.startswith("remote-agent: ") and done.stderr.count("\n") == 1
        return done.stderr

    @property
    def store(self) -> Path:
        """Its own directory there."""
        return self.programs / "remote-agent-program"

    @property
    def version(self) -> Path:
        """The directory with the one version that is unpacked."""
        (found,) = self.store.iterdir()
        return found


@pytest.fixture(scope="session")
def dist() -> Path:
    """The folder `dist`, complete."""
    assert (DIST / "remote-agent").exists(), "make build first; make test-binary does"
    return DIST


@pytest.fixture
def binary(dist: Path, tmp_path: Path) -> Binary:
    """The agent's binary, not unpacked yet."""
    return Binary(dist / "remote-agent", tmp_path / "programs")


@pytest.fixture(scope="session")
def another_version(tmp_path_factory: pytest.TempPathFactory, dist: Path) -> Path:
    """The agent's binary as another version: the same program under another number."""
    return rewrapped(tmp_path_factory.mktemp("another"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB (root)."""
    yield from _mounted(tmp_path / "small", "size=4m")


@pytest.fixture
def noexec_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system from which nothing can be executed (root)."""
    yield from _mounted(tmp_path / "noexec", "noexec")


def _mounted(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
