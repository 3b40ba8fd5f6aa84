"""A Job Object with real processes in it."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import subprocess
import time
from collections.abc import Iterator

import pytest

from remote_agent.processes.windows.job import KILLED, Job

TREE = (
    "import subprocess, sys; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print('up', flush=True); child.wait()"
)


@pytest.fixture
def tree() -> Iterator[tuple[Job, subprocess.Popen[bytes]]]:
    job = Job()
    process = subprocess.Popen(
        [sys.executable, "-c", "input()\n" + TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    job.take(int(process._handle))  # type: ignore[attr-defined]
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"go\n")
    process.stdin.close()
    assert process.stdout.readline().strip() == b"up"
    yield job, process
    job.kill()
    process.wait(20)
    process.stdout.close()
    job.close()


def test_it_counts_and_kills_the_tree(tree: tuple[Job, subprocess.Popen[bytes]]) -> None:
    job, process = tree
    assert job.account().active == 2 and job.memory() > 1_000_000
    job.kill()
    assert process.wait(20) == KILLED
    deadline = time.monotonic() + 20
    while job.account().active and time.monotonic() < deadline:
        time.sleep(0.01)
    assert job.account().active == 0


def test_its_end_is_the_end_of_the_tree(tree: tuple[Job, subprocess.Popen[bytes]]) -> None:
    job, process = tree
    job.close()
    process.wait(20)


def test_it_can_let_the_tree_live() -> None:
    job = Job()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    job.take(int(process._handle))  # type: ignore[attr-defined]
    job.leave_running()
    job.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.kill()
    process.wait(20)
    if process.stdin:
        process.stdin.close()
