"""The last writes of an attempt: they wait for a full disk, unless the job is to end."""

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
from tests.support.shim_harness import LIMIT, ShimHarness, eventually, gone, running, tell


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


def notification(harness: ShimHarness, what: str) -> dict[str, object]:
    """The next notification of this kind that carries a record."""
    while True:
        said = json.loads(harness.notifications.recv(1 << 16))
        if said["e"] == what and "record" in said:
            return said["record"]


def test_a_cancelled_job_on_a_full_disk_ends(small_disk: Path) -> None:
    harness = ShimHarness(small_disk / "state")
    harness.shims.start(1)
    try:
        directory = harness.start(["sh", "-c", "yes 0123456789abcde"], segment_size=100_000)
        pid = harness.started(directory)["pid"]
        eventually(lambda: os.statvfs(small_disk).f_bavail == 0, what="the disk is full")
        harness.notifications.settimeout(0)
        with pytest.raises(BlockingIOError):
            while True:
                harness.notifications.recv(1 << 16)
        harness.notifications.settimeout(LIMIT)
        assert tell(directory, {"do": "stop", "reason": "cancelled", "detail": "enough"})
        record = notification(harness, "ended")
        assert record["end_reason"] == "cancelled" and not running(pid)
        assert "of its log were dropped: the disk is full" in str(record["end_detail"])
        assert not (directory / layout.EXIT).exists()
        # With room again, the record is kept after all.
        (directory / closed_name(0)).unlink()
        assert harness.ended(directory)["end_reason"] == "cancelled"
    finally:
        harness.close()


def test_the_end_of_a_job_whose_directory_was_deleted_is_nobodys(tmp_path: Path) -> None:
    harness = ShimHarness(tmp_path)
    harness.shims.start(1)
    try:
        directory = harness.start(["sleep", "60"])
        pid = harness.started(directory)["pid"]
        (shim,) = harness.workers()
        for name in os.listdir(directory):
            path = directory / name
            path.rmdir() if path.is_dir() else path.unlink()
        directory.rmdir()
        os.kill(pid, 9)
        gone(pid)
        assert harness.keeper() == shim, "it is ready for the next one"
    finally:
        harness.close()


def test_socket_of_the_agent_is_not_needed(tmp_path: Path) -> None:
    harness = ShimHarness(tmp_path)
    harness.shims.start(1)
    try:
        harness.notifications.close()
        directory = harness.start(["true"], sync=True)
        assert harness.ended(directory)["exit_code"] == 0
    finally:
        harness.notifications = socket.socket()
        harness.close()
