"""Folders by their descriptors: names, locks, and what is left when somebody deletes them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from remote_agent.processes import posix_files as files
from remote_agent.processes.posix_files import Folder


def test_names_in_a_folder(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        assert not folder.exists("a")
        os.close(folder.open("a", files.NEW))
        with pytest.raises(FileExistsError):
            folder.open("a", files.NEW)
        folder.rename("a", "b")
        assert folder.names() == ["b"] and folder.exists("b")
        assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
        folder.sync()
        assert folder.free() > 0 and not folder.gone()
        tmp_path.rename(tmp_path.with_name("elsewhere"))
        assert folder.names() == ["b"], "a folder is looked up once"
        (tmp_path.with_name("elsewhere") / "b").unlink()
        tmp_path.with_name("elsewhere").rmdir()
        assert folder.gone()


def test_one_holds_the_lock(tmp_path: Path) -> None:
    with Folder(tmp_path) as looker:
        with Folder(tmp_path) as holder, Folder(tmp_path) as other:
            assert not looker.locked()
            assert holder.lock() and looker.locked() and not other.lock()
        assert not looker.locked() and looker.lock()


def test_a_file_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    first, second = (files.open_file(tmp_path / "lock", files.KEEP, 0o600) for _ in range(2))
    assert files.lock_file(first) and not files.lock_file(second)
    os.close(first)
    assert files.lock_file(second)
    os.close(second)


def test_bytes_at_their_places(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        log = folder.open("log", files.APPEND)
        assert files.write_some(log, [memoryview(b"one"), memoryview(b"two")]) == 6
        files.sync_data(log)
        reader = folder.open("log", files.READ)
        room = memoryview(bytearray(4))
        assert files.read_at(reader, room, 2) == 4 and bytes(room) == b"etwo"
        assert files.read_at(reader, room, 6) == 0
        assert not files.unlinked(reader)
        os.unlink(tmp_path / "log")
        assert files.unlinked(reader)
        os.close(log)
        os.close(reader)


def test_a_near_path_is_short_enough_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with Folder(deep) as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder.near("door"))
        assert folder.here("door") == "door" and (deep / "door").is_socket()


def test_modes() -> None:
    assert files.open_to_others(0o100640) and not files.open_to_others(0o100600)
