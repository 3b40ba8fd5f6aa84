"""Deleting what jobs have left: read-only, deep, linked, full of everything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.processes.posix_removal import remove_tree
from tests.support.powerless import powerless


def test_a_file_a_link_a_folder_and_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "link").symlink_to(outside)
    for name in ("link", "file", "fifo", "tree", "absent", "absent/too"):
        remove_tree(tmp_path / name)
    assert os.listdir(tmp_path) == ["outside"] and os.listdir(outside) == ["kept"]


def test_more_entries_than_one_batch(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(2100):
        (tmp_path / "tree" / str(number)).touch()
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == []


def test_what_is_closed_to_its_owner_goes_too(tmp_path: Path) -> None:
    def closed() -> None:
        inner = tmp_path / "m" / "a" / "b"
        inner.mkdir(parents=True)
        (inner / "f").touch()
        (inner / "f").chmod(0)
        for folder, mode in ((inner, 0), (inner.parent, 0o400), (tmp_path / "m", 0o500)):
            folder.chmod(mode)
        remove_tree(tmp_path / "m")

    powerless(closed)
    assert os.listdir(tmp_path) == []


def test_a_tree_deeper_than_the_stack_and_the_descriptors(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    here = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.fchmod(here, 0)
    os.close(here)
    powerless(lambda: remove_tree(tmp_path / "deep"))
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_deleted_is_named_and_the_rest_is_gone(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("giving a folder away takes root")
    tree = tmp_path / "tree"
    (tree / "theirs").mkdir(parents=True)
    for name in ("theirs/kept", "gone"):
        (tree / name).touch()
    for path in (tree / "theirs", tree / "theirs" / "kept"):
        os.chown(path, 65534, 65534)

    def refused() -> None:
        with pytest.raises(OSError) as caught:
            remove_tree(tree)
        assert caught.value.filename == str(tree / "theirs" / "kept")

    powerless(refused)
    assert os.listdir(tree) == ["theirs"]
