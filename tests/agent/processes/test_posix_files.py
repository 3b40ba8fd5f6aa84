"""Folders by their descriptors: names, locks, and what is left when somebody deletes them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from remote_agent.processes import posix_files as files
from remote_agent.processes.posix_files import Folder
from remote_agent.processes.types import UnexpectedEntry
from tests.support.powerless import powerless


def test_a_file_is_moved_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text("new")
    (tmp_path / "to").write_text("old")
    with Folder(tmp_path / "from") as folder:
        folder.move("a", str(tmp_path / "to"))
        assert folder.names() == []
        with pytest.raises(FileNotFoundError):
            folder.move("a", str(tmp_path / "to"))
    assert (tmp_path / "to").read_text() == "new"


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
        listener.bind(folder.near("endpoint"))
        assert folder.here("endpoint") == "endpoint" and (deep / "endpoint").is_socket()


def test_modes() -> None:
    assert files.open_to_others(0o100640) and not files.open_to_others(0o100600)


def odd_entry(path: Path, kind: str) -> None:
    match kind:
        case "a directory":
            path.mkdir()
        case "a symbolic link":
            path.symlink_to("/etc/passwd")
        case "a FIFO":
            os.mkfifo(path)
        case "a hard link":
            path.with_name("other").write_bytes(b"secret")
            path.hardlink_to(path.with_name("other"))
        case "a socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))


@pytest.mark.parametrize("how", ["READ", "APPEND", "KEEP"])
@pytest.mark.parametrize(
    "kind", ["a directory", "a symbolic link", "a FIFO", "a hard link", "a socket"]
)
def test_only_plain_files_are_opened(tmp_path: Path, kind: str, how: str) -> None:
    odd_entry(tmp_path / "it", kind)
    with Folder(tmp_path) as folder:
        with pytest.raises(UnexpectedEntry) as caught:
            folder.open("it", getattr(files, how))
        assert caught.value.filename == "it" and str(caught.value.strerror).startswith("it ")
        for made in ("NEW", "GROW"):
            with pytest.raises(FileExistsError):
                folder.open("it", getattr(files, made))
        assert folder.sizes(lambda name: True) == (
            {"it": 6, "other": 6} if kind == "a hard link" else {}
        )
        folder.clear("it")
        assert not folder.exists("it")
        os.close(folder.open("it", files.GROW))
    if kind == "a hard link":
        assert (tmp_path / "other").read_bytes() == b"secret"


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(NotADirectoryError):
        Folder(tmp_path / "link")
    Folder(tmp_path / "link", follow=True).close()


def test_what_was_closed_to_its_owner_is_opened_again(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "log").write_bytes(b"text")

    def closed() -> None:
        (place / "log").chmod(0)
        place.chmod(0)
        with Folder(place) as folder:
            os.close(folder.open("log", files.READ))
            place.chmod(0)
            assert folder.exists("log") and folder.names() == ["log"]
            place.chmod(0o500)
            folder.rename("log", "other")
            place.chmod(0o500)
            folder.remove("other")
            place.chmod(0o400)
            os.close(folder.open("new", files.NEW))

    powerless(closed)


def test_a_file_of_somebody_else_is_odd(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("giving a file away takes root")
    (tmp_path / "log").touch()
    os.chown(tmp_path / "log", 65534, 65534)
    with Folder(tmp_path) as folder, pytest.raises(UnexpectedEntry, match="another user"):
        folder.open("log", files.READ)


def test_the_length_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "three").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("three")
    with Folder(tmp_path) as folder:
        assert folder.length("three") == 3
        with pytest.raises(UnexpectedEntry):
            folder.length("link")
        with pytest.raises(FileNotFoundError):
            folder.length("absent")


def test_the_time_of_a_file(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        assert folder.changed_at("mark") is None
        os.close(folder.open("mark", files.NEW))
        os.utime(tmp_path / "mark", (5, 5))
        assert folder.changed_at("mark") == 5
        folder.touch("mark")
        assert (folder.changed_at("mark") or 0) > 5
        (tmp_path / "link").symlink_to("mark")
        with pytest.raises(UnexpectedEntry):
            folder.touch("link")
