"""Sockets of warm interpreters, and the trees of jobs that they fork."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.processes import start_time
from remote_agent.processes.forked import (
    FORKS_JOBS,
    ask_for_job,
    kill_forked,
    kill_session,
    listen_for_jobs,
    slow_down,
    sweep_forked,
    usage_in,
)
from tests.support.shim_harness import gone

TREE = (
    "import os, subprocess, sys\n"
    "children = [subprocess.Popen(['sleep', '600'], start_new_session=n > 0) for n in range(2)]\n"
    "print(*[child.pid for child in children], flush=True)\n"
    "sys.stdin.read()\n"
)


def tree(**env: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A leader of a session with two children, one in another session."""
    process = subprocess.Popen(
        [sys.executable, "-c", TREE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=env,
    )
    assert process.stdout is not None
    return process, list(map(int, process.stdout.readline().split()))


def test_messages_come_by_a_name_however_long_the_path(tmp_path: Path) -> None:
    assert FORKS_JOBS
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    listen_for_jobs(folder, "name").close()
    with listen_for_jobs(folder, "name") as listener, open(os.devnull, "rb") as file:
        with ask_for_job(str(folder / "name"), [file.fileno()], 5):
            peer, _ = listener.accept()
            with peer:
                data, files, _, _ = socket.recv_fds(peer, 100, 4)
        assert data == b"{}" and len(files) == 1
        os.close(files[0])
    with pytest.raises(ConnectionRefusedError):
        ask_for_job(str(folder / "name"), [], 5)
    with pytest.raises(FileNotFoundError):
        ask_for_job(str(folder / "none" / "name"), [], 5)


def test_a_tree_is_killed_below_its_keeper() -> None:
    keeper, pids = tree()
    kill_forked(pids[0], keeper.pid)
    for pid in pids:
        gone(pid)
    assert keeper.poll() is None
    assert sweep_forked(keeper.pid).survivors == 0
    keeper.communicate()


def test_what_is_left_is_counted() -> None:
    keeper, pids = tree()
    swept = sweep_forked(keeper.pid)
    assert (swept.killed, swept.survivors) == (2, 0)
    for pid in pids:
        gone(pid)
    keeper.communicate()


def test_a_session_is_killed_only_with_its_mark_and_its_leader() -> None:
    leader, pids = tree(REMOTE_INTERPRETER="m")
    started = str(start_time(leader.pid))
    assert kill_session(leader.pid, started, {"REMOTE_INTERPRETER": "other"}) == 0
    assert kill_session(leader.pid, "1", {"REMOTE_INTERPRETER": "m"}) == 0
    assert kill_session(leader.pid, started, {"REMOTE_INTERPRETER": "m"}) == 2
    gone(pids[0])
    os.kill(pids[1], 9)
    leader.communicate()


def test_a_process_becomes_nicer() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        before = os.getpriority(os.PRIO_PROCESS, process.pid)
        slow_down(process.pid, 2)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, before + 2)
        process.kill()
    slow_down(process.pid, 2)


def test_usage_is_read_with_care() -> None:
    assert usage_in({"cpu_user": 1.5, "cpu_system": "x", "max_rss": 7}) == (1.5, 0.0, 7)
    assert usage_in({"cpu_user": -1}) == (0.0, 0.0, 0)
