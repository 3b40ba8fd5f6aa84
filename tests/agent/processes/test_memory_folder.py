"""Where files can be that never reach a disk."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from remote_agent.processes import memory_folder
from remote_agent.processes.memory_folder import _kind_of

# The package exports the function by the name of its module.
module = importlib.import_module("remote_agent.processes.memory_folder")
DISK = "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n"


def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **kinds: str) -> dict[str, Path]:
    """Folders that stand for file systems of these types."""
    folders, lines = {}, DISK
    for number, (name, kind) in enumerate(kinds.items()):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        lines += f"3{number} 1 0:{90 + number} / {folders[name]} rw shared:1 - {kind} {kind} rw\n"
    (tmp_path / "mountinfo").write_text(lines)
    numbers = {str(path): os.makedev(0, 90 + n) for n, path in enumerate(folders.values())}
    monkeypatch.setattr(module, "_MOUNTS", str(tmp_path / "mountinfo"))
    monkeypatch.setattr(module, "_SHARED", str(folders.get("shm", tmp_path / "absent")))
    look = os.stat

    def stat(path: str) -> object:
        device = numbers.get(str(path))
        return look(path) if device is None else os.stat_result((0, 0, device, *[0] * 7))

    monkeypatch.setattr(module.os, "stat", stat)
    return folders


def test_this_host_has_one_or_says_so() -> None:
    found = memory_folder({}, for_others=True)
    assert found in (None, "/dev/shm")
    if found is not None:
        assert _kind_of(found) == "tmpfs"


def test_shared_memory_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = mounted(tmp_path, monkeypatch, shm="tmpfs", run="tmpfs")
    environ = {"XDG_RUNTIME_DIR": str(folders["run"])}
    assert memory_folder(environ, for_others=False) == str(folders["shm"])


def test_a_users_own_folder_is_for_jobs_of_that_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = mounted(tmp_path, monkeypatch, shm="ext4", run="tmpfs")
    environ = {"XDG_RUNTIME_DIR": str(folders["run"])}
    assert memory_folder(environ, for_others=False) == str(folders["run"])
    assert memory_folder(environ, for_others=True) is None
    assert memory_folder({"XDG_RUNTIME_DIR": "run"}, for_others=False) is None


def test_what_is_a_disk_or_closed_or_not_there_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted(tmp_path, monkeypatch, run="tmpfs")
    assert memory_folder({}, for_others=False) is None
    monkeypatch.setattr(module, "_MOUNTS", str(tmp_path / "gone"))
    assert _kind_of(str(tmp_path)) == ""
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert memory_folder({"XDG_RUNTIME_DIR": str(tmp_path)}, for_others=False) is None
