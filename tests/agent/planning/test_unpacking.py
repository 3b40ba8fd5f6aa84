"""The program that unpacks bundles: what it puts where, and which archives it refuses in words."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from remote_agent.planning import unpacking

SHOW = "import os, sys; print(sys.argv[1:], sorted(os.listdir('.')))"


class Job:
    """A job's folder with a bundle."""

    def __init__(self, root: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> None:
        self.home = root / "job"
        self.work = self.home / "work"
        self.work.mkdir(parents=True)
        self.bundle = self.home / "bundle.zip"
        with zipfile.ZipFile(self.bundle, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries:
                archive.writestr(name, data)

    def run(self, **settings: Any) -> subprocess.CompletedProcess[str]:
        program = self.home / "unpacking.py"
        program.write_bytes(Path(unpacking.__file__).read_bytes())
        known = {
            "archive": str(self.bundle),
            "target": str(self.work),
            "failure": str(self.home / "failed"),
            "most_bytes": 1 << 20,
            "most_files": 100,
        }
        (self.home / "unpacking.json").write_text(json.dumps(known | settings))
        return subprocess.run(
            [sys.executable, "-I", str(program), "-c", SHOW, "x y"],
            capture_output=True,
            text=True,
            cwd=self.work,
            check=False,
        )

    def refused(self, **settings: Any) -> str:
        """Why it does not begin; nothing of it is in the work directory then."""
        done = self.run(**settings)
        assert done.returncode == unpacking.FAILED and done.stdout == "", done
        reason = (self.home / "failed").read_text()
        assert done.stderr == f"remote-agent: {reason}\n"
        return reason


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


def test_it_is_unpacked_and_the_program_follows(tmp_path: Path) -> None:
    job = Job(
        tmp_path,
        ("main.py", b"print(1)"),
        (entry("bin/tool", stat.S_IFREG | 0o755), b"#!/bin/sh"),
        (entry("empty/", stat.S_IFDIR | 0o755), b""),
    )
    done = job.run()
    assert done.stdout == "['x y'] ['bin', 'empty', 'main.py']\n", done.stderr
    assert (job.work / "bin" / "tool").stat().st_mode & 0o777 == 0o700
    assert (job.work / "main.py").stat().st_mode & 0o777 == 0o600
    assert not job.bundle.exists() and not (job.home / "failed").exists()


def test_a_wheel_is_only_looked_at(tmp_path: Path) -> None:
    job = Job(tmp_path, ("pkg/__init__.py", b""))
    assert job.run(target=None).stdout == "['x y'] []\n"
    assert job.bundle.exists()
    assert "leads out of it" in Job(tmp_path / "b", ("../x", b"")).refused(target=None)


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "\\x", "a\\..\\..\\x", "C:/x", "C:\\x"]
)
def test_names_that_lead_out_of_it(tmp_path: Path, name: str) -> None:
    job = Job(tmp_path, ("good", b"1"), (name, b"2"))
    assert "leads out of it; pack it again, with names relative to its root" in job.refused()
    assert list(job.work.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    job = Job(tmp_path, ("good", b"1"), (entry("odd", kind | 0o777), b"/etc/passwd"))
    reason = job.refused()
    assert ("'odd' is a link" if kind == stat.S_IFLNK else "'odd' is no plain file") in reason
    assert list(job.work.iterdir()) == []


def test_bombs(tmp_path: Path) -> None:
    large = Job(tmp_path / "large", ("zeros", bytes(2 << 20)))
    assert large.bundle.stat().st_size < 4000
    reason = large.refused()
    assert "unpacked it has 2097152 bytes, and 1048576 are the most" in reason
    many = Job(tmp_path / "many", *((f"f{n}", b"") for n in range(101)))
    assert "it has 101 files, and 100 are the most" in many.refused()


def test_an_archive_that_lies_about_its_sizes(tmp_path: Path) -> None:
    job = Job(tmp_path, ("zeros", bytes(2 << 20)))
    raw = bytearray(job.bundle.read_bytes())
    # The uncompressed size in the central directory (APPNOTE.TXT 4.3.12).
    at = raw.rindex(b"PK\1\2") + 24
    raw[at : at + 4] = (100).to_bytes(4, "little")
    job.bundle.write_bytes(raw)
    reason = job.refused()
    assert "damaged" in reason or "larger than the archive says" in reason
    assert sum(path.stat().st_size for path in job.work.rglob("*")) <= 100


def test_what_is_no_archive_or_another_one(tmp_path: Path) -> None:
    job = Job(tmp_path, ("f", b"abc"))
    raw = job.bundle.read_bytes()
    job.bundle.write_bytes(b"no zip at all")
    assert "is a damaged archive, or none: File is not a zip file" in job.refused()
    job.bundle.write_bytes(raw[: len(raw) // 2])
    assert "damaged archive" in job.refused()


def test_an_encrypted_file_and_the_same_one_twice(tmp_path: Path) -> None:
    secret = Job(tmp_path / "a", ("f", b"abc"))
    raw = bytearray(secret.bundle.read_bytes())
    raw[raw.rindex(b"PK\1\2") + 8] |= 1
    secret.bundle.write_bytes(raw)
    assert "'f' is encrypted; pack it without a password" in secret.refused()
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = Job(tmp_path / "b", ("f", b"1"), ("f", b"2"))
    assert "has 'f' twice" in twice.refused()


def test_a_file_that_has_its_place(tmp_path: Path) -> None:
    job = Job(tmp_path, ("f", b"of the bundle"))
    outside = tmp_path / "outside"
    (job.work / "f").symlink_to(outside)
    assert "'f' is there already: another file of the job" in job.refused()
    assert not os.path.lexists(outside)
