"""Files below a job's folder: what is found, and that nothing outside of it ever is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.processes import FileBelow, UnexpectedEntry, files_below, open_below


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "home" / "artifacts").mkdir(parents=True)
    return tmp_path / "home"


def found(home: Path, deepest: int = 3) -> set[FileBelow]:
    return set(files_below(str(home), "artifacts", deepest))


def test_files_and_folders(home: Path) -> None:
    assert found(home) == set()
    (home / "artifacts" / "a").write_bytes(b"12345")
    (home / "artifacts" / "d" / "e").mkdir(parents=True)
    (home / "artifacts" / "d" / "e" / "f").touch()
    assert found(home) == {
        FileBelow("a", 5, ""),
        FileBelow("d", 0, None),
        FileBelow("d/e", 0, None),
        FileBelow("d/e/f", 0, ""),
    }
    assert FileBelow("d/e", 0, "it is too deep") in found(home, 1)


def test_what_is_no_file(home: Path) -> None:
    place = home / "artifacts"
    (place / "link").symlink_to(home.parent / "secret")
    (place / "folder").symlink_to(home.parent)
    os.mkfifo(place / "fifo")
    assert {one.name for one in found(home)} == {"link", "folder", "fifo"}
    assert {one.odd for one in found(home)} == {"it is no plain file"}
    for name in ("link", "folder/secret", "fifo", "../../secret", "missing"):
        with pytest.raises(OSError):
            open_below(str(home), "artifacts", name)


def test_a_folder_that_is_exchanged_for_a_link(home: Path) -> None:
    place = home / "artifacts"
    (place / "d").mkdir()
    (place / "d" / "secret").write_text("mine")
    os.close(open_below(str(home), "artifacts", "d/secret"))
    (place / "d").rename(place / "e")
    (place / "d").symlink_to(home.parent)
    with pytest.raises(OSError):
        open_below(str(home), "artifacts", "d/secret")
    place.rename(home / "moved")
    place.symlink_to(home.parent)
    with pytest.raises(OSError):
        open_below(str(home), "artifacts", "secret")
    with pytest.raises(OSError):
        found(home)


@pytest.mark.skipif(os.getuid() != 0, reason="gives a file to somebody else")
def test_a_file_of_another_user(home: Path) -> None:
    file = home / "artifacts" / "a"
    file.write_text("x")
    os.chown(file, 65534, 65534)
    with pytest.raises(UnexpectedEntry, match="plain file of the job's user"):
        open_below(str(home), "artifacts", "a")


def test_content(home: Path) -> None:
    (home / "artifacts" / "a").write_text("abc")
    descriptor = open_below(str(home), "artifacts", "a")
    assert os.read(descriptor, 9) == b"abc"
    os.close(descriptor)
