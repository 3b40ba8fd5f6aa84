"""Folders, locks, and files that may be renamed and deleted while they are open."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import os
import subprocess
from pathlib import Path

import pytest

from remote_agent.processes.windows import files
from remote_agent.processes.windows.files import Folder


def test_names_in_a_folder(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        assert not folder.exists("a")
        os.close(folder.open("a", files.NEW))
        with pytest.raises(FileExistsError):
            folder.open("a", files.NEW)
        with pytest.raises(FileNotFoundError):
            folder.open("b", files.READ)
        folder.rename("a", "b")
        assert folder.names() == ["b"] and folder.free() > 0 and not folder.gone()
        folder.sync()
        assert folder.near("x") == folder.here("x") == str(tmp_path / "x")
        assert folder.here("../y") == str(tmp_path.parent / "y")
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "missing")
    with pytest.raises(NotADirectoryError):
        Folder(tmp_path / "b")


def test_a_deleted_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with Folder(tmp_path / "f") as folder:
        (tmp_path / "f").rmdir()
        assert folder.gone()


def test_one_holds_the_lock(tmp_path: Path) -> None:
    with Folder(tmp_path) as looker:
        with Folder(tmp_path) as holder, Folder(tmp_path) as other:
            assert not looker.locked() and folder_is_empty(tmp_path), "a look makes no file"
            assert holder.lock() and looker.locked() and not other.lock()
        assert not looker.locked() and looker.lock()


def folder_is_empty(path: Path) -> bool:
    return not os.listdir(path)


def test_the_lock_of_one_that_dies_is_free(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from remote_agent.processes import Folder\n"
        "f = Folder(sys.argv[1]); print(f.lock(), flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline().strip() == b"True"
    with Folder(tmp_path) as folder:
        assert folder.locked()
        holder.kill()
        holder.wait(20)
        assert not folder.locked() and folder.lock()
    holder.stdin.close()
    holder.stdout.close()


def test_the_text_of_a_locked_file_can_be_read(tmp_path: Path) -> None:
    first, second = (files.open_file(tmp_path / "lock", files.KEEP) for _ in range(2))
    assert files.lock_file(first) and not files.lock_file(second)
    os.write(first, b"42\n")
    assert os.read(second, 9) == b"42\n"
    os.close(first)
    assert files.lock_file(second)
    os.close(second)


def test_bytes_go_in_and_out_unchanged(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        log = folder.open("log", files.APPEND)
        parts = [memoryview(b"a\nb"), memoryview(b"\r\n\x1a")]
        assert files.write_some(log, parts) == 6
        assert files.write_some(log, [memoryview(b"end")]) == 3
        files.sync_data(log)
        files.sync(tmp_path / "log")
        files.sync(tmp_path)
        reader = folder.open("log", files.READ)
        room = memoryview(bytearray(20))
        assert files.read_at(reader, room, 1) == 8 and bytes(room[:8]) == b"\nb\r\n\x1aend"
        assert files.read_at(reader, room, 9) == 0
        os.close(log)
        os.close(reader)


def test_a_file_is_moved_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text("new")
    (tmp_path / "to").write_text("old")
    with Folder(tmp_path / "from") as folder:
        folder.move("a", str(tmp_path / "to"))
        assert folder.names() == []
    assert (tmp_path / "to").read_text() == "new"


def test_an_open_file_can_be_renamed_and_replaced(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        live = folder.open("live", files.APPEND)
        reader = folder.open("live", files.READ)
        files.write_some(live, [memoryview(b"one")])
        folder.rename("live", "closed")
        files.write_some(live, [memoryview(b"two")])
        room = memoryview(bytearray(9))
        assert files.read_at(reader, room, 0) == 6
        os.close(folder.open("live", files.NEW))
        assert sorted(folder.names()) == ["closed", "live"]
        os.close(live)
        os.close(reader)
        live = folder.open("live", files.READ)
        assert not files.unlinked(live)
        os.close(live)


def test_what_cannot_be_renamed_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.rename(tmp_path / "a", tmp_path / "b")


def test_a_folder_of_our_own(tmp_path: Path) -> None:
    files.restrict_to_owner(tmp_path)
    (tmp_path / "x").write_text("still ours")
    assert not files.open_to_others(0o777)
    with pytest.raises(OSError):
        files.restrict_to_owner(tmp_path / "missing")


@pytest.mark.parametrize(
    "path", ["nul", "sub/CON.txt", "com1", "a\\lpt9.log", "x.", "dir /y", "a:b", "what?", "a\x01"]
)
def test_names_that_windows_would_not_keep(path: str) -> None:
    assert files.name_problem(path)


@pytest.mark.parametrize("path", ["a", "console", "sub/x.txt", ".hidden", "a.b.c", "com", "./x"])
def test_names_that_windows_keeps(path: str) -> None:
    assert files.name_problem(path) == ""
