"""The socket of a shim: one for all its attempts, and one for an attempt where that cannot be."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import Folder, send_datagram
from remote_agent.shim.channel import Channel
from remote_agent.shim.control_socket import ControlSocket, forget_dead
from remote_agent.shim.launcher_client import tell
from remote_agent.shim.layout import CONTROL, SHIMS_FOLDER
from tests.support.shim_harness import Gate, ShimHarness, eventually


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Folder]]:
    """Two attempts' directories, the first one entered."""
    folders = []
    for name in ("a", "b"):
        (tmp_path / "attempts" / name).mkdir(parents=True)
        folders.append(Folder(tmp_path / "attempts" / name))
    monkeypatch.chdir(tmp_path)
    folders[0].enter()
    yield folders
    for folder in folders:
        folder.close()


def inode(name: str = CONTROL) -> int:
    return os.lstat(name).st_ino


def test_a_reused_shim_has_one_socket_for_all_its_attempts(
    places: list[Folder], tmp_path: Path
) -> None:
    shims, found = tmp_path / SHIMS_FOLDER, set()
    control = ControlSocket(reused=True)
    for folder in [*places, *places]:
        folder.enter()
        listening = control.appear(folder)
        found.add(inode())
        send_datagram(Path("."), CONTROL, b"hello")
        assert listening.receive() == b"hello"
        control.vanish()
        assert os.listdir(".") == []
    assert len(found) == 1 and os.listdir(shims) == [str(os.getpid())]
    assert stat.S_IMODE(shims.stat().st_mode) == 0o700
    control.close()
    assert os.listdir(shims) == []


def test_a_shim_of_one_attempt_has_a_socket_there_only(
    places: list[Folder], tmp_path: Path
) -> None:
    control = ControlSocket(reused=True)
    control.serve_one()
    control.appear(places[0])
    assert inode() and not (tmp_path / SHIMS_FOLDER).exists()
    control.vanish()
    assert os.listdir(".") == []


def test_a_shim_that_has_a_socket_uses_it_for_its_last_attempt(places: list[Folder]) -> None:
    control = ControlSocket(reused=True)
    control.appear(places[0])
    first = inode()
    control.vanish()
    control.serve_one()
    control.appear(places[0])
    assert inode() == first
    control.vanish()
    control.close()


def test_what_came_too_late_for_one_attempt_is_not_for_the_next(places: list[Folder]) -> None:
    control = ControlSocket(reused=True)
    control.appear(places[0])
    late, unnamed = b'{"v":1,"k":"J.1","do":"kill"}', b'{"v":1,"do":"kill"}'
    for message in (late, unnamed, late):
        send_datagram(Path("."), CONTROL, message)
    control.vanish()
    places[1].enter()
    channel = Channel(places[1], "J.2", "agent.sock", control)
    send_datagram(Path("."), CONTROL, b'{"v":1,"k":"J.2","do":"go"}')
    assert [message["do"] for message in channel.receive()] == ["go"]
    channel.close()
    control.close()


@pytest.mark.parametrize("reused", [True, False])
def test_the_name_of_a_dead_shim_is_taken_over(places: list[Folder], reused: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(CONTROL)
    control = ControlSocket(reused)
    listening = control.appear(places[0])
    send_datagram(Path("."), CONTROL, b"hello")
    assert listening.receive() == b"hello"
    control.vanish()
    control.close()
    assert os.listdir(".") == []


def test_without_its_place_a_shim_makes_a_socket_for_each_attempt(
    places: list[Folder], tmp_path: Path
) -> None:
    control = ControlSocket(reused=True)
    control.appear(places[0])
    control.vanish()
    (tmp_path / SHIMS_FOLDER / str(os.getpid())).unlink()
    for folder in places:
        folder.enter()
        listening = control.appear(folder)
        send_datagram(Path("."), CONTROL, b"hello")
        assert listening.receive() == b"hello"
        control.vanish()
        assert os.listdir(".") == []
    control.close()


def test_a_shim_of_one_attempt_needs_no_place(places: list[Folder], tmp_path: Path) -> None:
    control = ControlSocket(reused=False)
    control.appear(places[0])
    assert inode()
    control.vanish()
    control.close()
    assert os.listdir(tmp_path) == ["attempts"] and os.listdir(".") == []


def test_only_what_dead_shims_left_is_removed(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    for name in (str(child), str(os.getpid()), "note"):
        (tmp_path / name).touch()
    forget_dead(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([str(os.getpid()), "note"])
    forget_dead(tmp_path / "absent")


def test_shims_leave_no_socket_behind_but_when_they_are_killed(
    harness: ShimHarness, gate: Gate
) -> None:
    shims = harness.root / SHIMS_FOLDER
    for _ in range(5):
        harness.run(["true"])
    used = set(os.listdir(shims))
    assert used and used <= set(map(str, harness.workers()))
    directory = harness.start(["sh", "-c", gate.wait])
    shim = harness.started(directory)["shim_pid"]
    assert tell(directory, {"do": "go"})
    os.kill(shim, signal.SIGKILL)
    eventually(lambda: shim not in harness.workers())
    forget_dead(shims)
    assert str(shim) not in os.listdir(shims)
    harness.shims.resize(0)
    eventually(lambda: os.listdir(shims) == [])
