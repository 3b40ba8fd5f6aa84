"""What names stand for, by the few calls that a platform gives; here those of this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import Folder
from remote_agent.processes.entries import Entries


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nowhere")
    with Folder(tmp_path) as folder:
        assert isinstance(folder, Entries)
        yield folder


def test_only_plain_files_have_sizes(folder: Folder) -> None:
    assert folder.sizes(lambda name: True) == {"file": 5, "empty": 0}
    assert folder.sizes(lambda name: name < "f") == {"empty": 0}
    assert folder.sizes(lambda name: True, ["file", "absent", "folder"]) == {"file": 5}
    names = ("file", "folder", "link", "absent")
    assert [folder.plain(name) for name in names] == [True, False, False, False]


def test_a_link_is_a_name_whatever_it_points_to(folder: Folder) -> None:
    assert [folder.exists(name) for name in ("broken", "folder", "absent")] == [True, True, False]


def test_when_a_file_was_changed(folder: Folder, tmp_path: Path) -> None:
    os.utime(tmp_path / "file", (1.0, 1234.5))
    assert (folder.changed_at("file"), folder.changed_at("absent")) == (1234.5, None)


def test_a_name_is_made_free(folder: Folder, tmp_path: Path) -> None:
    for name in ("file", "folder", "broken", "absent"):
        folder.clear(name)
        assert not folder.exists(name)
    (aside,) = tmp_path.glob("odd.*.folder")
    assert aside.is_dir(), "what is in a directory is nobody's to delete here"
