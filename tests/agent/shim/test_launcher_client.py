"""The agent's handle on its shims. What shims do is in test_pool."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from remote_agent.shim.launcher_client import LauncherClient, tell
from tests.support.shim_harness import ShimHarness, eventually, running


def test_requests_before_the_start_and_after_the_end(tmp_path: Path) -> None:
    shims = LauncherClient(tmp_path / "log")
    assert shims.pid is None and not shims.alive()
    with pytest.raises(ConnectionError):
        shims.request(tmp_path)
    shims.resize(3)
    shims.close()


def test_starting_again_replaces_the_launcher(tmp_path: Path) -> None:
    shims = LauncherClient(tmp_path / "log")
    shims.start(1)
    first = shims.pid
    assert shims.alive() and first
    shims.start(1)
    assert shims.pid != first
    eventually(lambda: not running(first))
    second = shims.pid
    shims.close()
    eventually(lambda: not running(second or 0))


def test_the_launcher_is_placed_before_it_has_shims(tmp_path: Path) -> None:
    placed: list[int] = []
    shims = LauncherClient(tmp_path / "log", place=placed.append)
    shims.start(1)
    assert placed == [shims.pid]
    shims.close()
    eventually(lambda: not running(placed[0]))


def test_too_many_requests_are_said(harness: ShimHarness) -> None:
    harness.shims.resize(0)
    eventually(lambda: not harness.workers())
    directory = harness.make(["true"])
    with pytest.raises(BlockingIOError):
        for _ in range(100_000):
            harness.shims.request(directory)
    harness.shims.resize(1)
    assert harness.ended(directory)["exit_code"] == 0
    # The rest of the requests finds the attempt begun; nothing starts twice.
    eventually(lambda: "begun before" in harness.log())


def test_a_launcher_that_cannot_be_logged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        LauncherClient(tmp_path / "absent" / "log").start(1)


def test_without_the_launchers_sockets_each_attempt_gets_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "no SEQPACKET here")

    harness = ShimHarness(tmp_path / "state")
    monkeypatch.setattr(socket, "socketpair", missing)
    harness.shims.start(3)
    monkeypatch.undo()
    try:
        harness.shims.resize(5)
        run = harness.run(["echo", "hi"])
        assert (run.code, run.stdout) == (0, b"hi\n")
        assert harness.shims.alive() and harness.shims.pid is None
        directory = harness.start(["sleep", "60"])
        shim = harness.started(directory)["shim_pid"]
        assert tell(directory, {"do": "kill"})
        assert harness.ended(directory)["exit_code"] == 137
        eventually(lambda: harness.shims.alive() and not running(shim))
    finally:
        harness.close()
    assert harness.log() == ""
