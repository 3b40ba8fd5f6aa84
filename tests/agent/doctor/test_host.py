"""What doctor says of the state directory, the disk, and where programs can run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_agent.doctor.host import disk, nearest, programs, state_directory
from remote_protocol.report import Finding, Status

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away and to mount")


def failed(finding: Finding, code: str) -> Finding:
    assert (finding.status, finding.code) == (Status.FAIL, code), finding
    assert finding.finding and finding.cure
    return finding


def test_a_state_directory_that_will_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert state_directory(tmp_path).finding == f"{tmp_path}, mode 0700"
    later = state_directory(tmp_path / "a" / "b")
    assert later.status is Status.PASS and f"can be made in {tmp_path}" in later.finding
    assert nearest(tmp_path / "a" / "b") == tmp_path


def test_a_state_directory_that_others_can_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = failed(state_directory(tmp_path), "state_directory_open_to_others")
    assert "0755" in found.finding and tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    failed(state_directory(file), "state_directory_not_a_directory")


@root
def test_a_state_directory_of_another_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    found = failed(state_directory(tmp_path), "state_directory_of_another_user")
    assert "sudo -u '#12345'" in found.cure


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """What doctor says of folders on a read-only, a noexec, and a full file system, which are
    mounted in a namespace of their own."""
    folder = tmp_path_factory.mktemp("mounts")
    program = (
        "import json, sys\n"
        "from dataclasses import asdict\n"
        "from pathlib import Path\n"
        "from remote_agent.doctor.host import disk, programs, state_directory\n"
        f"root = Path({str(folder)!r})\n"
        "found = {'read-only': state_directory(root / 'ro' / 'state'),\n"
        "         'noexec': programs(root / 'noexec' / 'state'),\n"
        "         'full': disk(root / 'noexec', 1 << 30), 'inodes': disk(root / 'noexec', 1)}\n"
        "print(json.dumps({name: asdict(one) for name, one in found.items()}))\n"
    )
    script = (
        f"mkdir {folder}/ro {folder}/noexec && mount -t tmpfs -o ro none {folder}/ro && "
        f"mount -t tmpfs -o noexec,size=1m,nr_inodes=2 none {folder}/noexec && "
        f'touch {folder}/noexec/last && exec "$0" -c "$1"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, program],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield json.loads(done.stdout)


@root
@pytest.mark.parametrize(
    ("mount", "code", "words"),
    [
        ("read-only", "state_directory_not_writable", "mounted read-only"),
        ("noexec", "noexec", "not a script of a job"),
        ("full", "disk_below_reserve", "min_free_disk"),
        ("inodes", "no_free_inodes", "no new file"),
    ],
)
def test_file_systems_that_will_not_do(
    mounted: dict[str, dict[str, str]], mount: str, code: str, words: str
) -> None:
    found = mounted[mount]
    assert (found["status"], found["code"]) == ("fail", code), found
    assert words in found["why"] and found["cure"]


def test_a_disk_with_room(tmp_path: Path) -> None:
    assert disk(tmp_path / "later", 1).status is Status.PASS
    assert failed(disk(tmp_path, 1 << 60), "disk_below_reserve").why


def test_no_script_of_another_user_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may look at a folder whose owner puts a script of their own in the place of ours."""
    run, trace = subprocess.run, tmp_path / "trace"

    def swapped(command: list[str], **options: Any) -> Any:
        (ours,) = tmp_path.glob(".doctor-*")
        theirs = tmp_path / "theirs"
        theirs.write_text(f"#!/bin/sh\ntouch {trace}\n")
        theirs.chmod(0o755)
        theirs.rename(ours)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", swapped)
    assert programs(tmp_path).status is Status.PASS
    assert not trace.exists()


def test_programs_are_tried_where_jobs_have_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = programs(tmp_path)
    assert found.status is Status.PASS and str(tmp_path) in found.finding
    assert programs(tmp_path / "not" / "yet").status is Status.PASS

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(subprocess, "run", forbidden)
    why = failed(programs(tmp_path), "program_cannot_run").why
    assert "Permission denied" in why and "SELinux" in why
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
