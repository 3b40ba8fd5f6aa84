"""The last writes of an attempt: they wait for a full disk, unless somebody wants the end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.shim import layout
from remote_agent.spool import closed_name
from tests.support.keeper import Keeper, eventually, gone, running, tell


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("mounting a small tmpfs takes root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def hint(keeper: Keeper, what: str) -> dict[str, object]:
    """The next hint of this kind that carries a record."""
    while True:
        said = json.loads(keeper.hints.recv(1 << 16))
        if said["e"] == what and "record" in said:
            return said["record"]


def test_a_cancelled_job_on_a_full_disk_ends(small_disk: Path) -> None:
    keeper = Keeper(small_disk / "state")
    keeper.shims.start(1)
    try:
        directory = keeper.start(["sh", "-c", "yes 0123456789abcde"], segment_size=100_000)
        pid = keeper.started(directory)["pid"]
        eventually(lambda: os.statvfs(small_disk).f_bavail == 0, what="the disk is full")
        keeper.hints.settimeout(0)
        with pytest.raises(BlockingIOError):
            while True:
                keeper.hints.recv(1 << 16)
        keeper.hints.settimeout(30)
        assert tell(directory, {"do": "stop", "reason": "cancelled", "detail": "enough"})
        record = hint(keeper, "ended")
        assert record["end_reason"] == "cancelled" and not running(pid)
        assert "of its log were dropped: the disk is full" in str(record["end_detail"])
        assert not (directory / layout.EXIT).exists()
        # With room again, the record is kept after all.
        (directory / closed_name(0)).unlink()
        assert keeper.ended(directory)["end_reason"] == "cancelled"
    finally:
        keeper.close()


def test_the_end_of_a_job_whose_directory_was_deleted_is_nobodys(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.shims.start(1)
    try:
        directory = keeper.start(["sleep", "60"])
        pid = keeper.started(directory)["pid"]
        (shim,) = keeper.workers()
        for name in os.listdir(directory):
            path = directory / name
            path.rmdir() if path.is_dir() else path.unlink()
        directory.rmdir()
        os.kill(pid, 9)
        gone(pid)
        assert running(shim), "it is ready for the next one"
    finally:
        keeper.close()


def test_socket_of_the_agent_is_not_needed(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.shims.start(1)
    try:
        keeper.hints.close()
        directory = keeper.start(["true"], sync=True)
        assert keeper.ended(directory)["exit_code"] == 0
    finally:
        keeper.hints = socket.socket()
        keeper.close()
