"""Spare directories: only what is as good as new is used again."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_agent.journal import spares as module
from remote_agent.journal.spares import SpareDirectories, make_empty
from remote_agent.planning.paths import FOLDERS
from remote_agent.processes import Folder
from remote_agent.shim.layout import CLEAN, DRAFT, EXIT, KEY, ORDER, STARTED

DRAFTS = [EXIT + DRAFT, STARTED + DRAFT]


@pytest.fixture
def spares(tmp_path: Path) -> SpareDirectories:
    return SpareDirectories(tmp_path, FOLDERS)


def settled(root: Path, clean: object = True) -> Path:
    """The directory of an attempt that left nothing."""
    path = root / "J.1"
    make_empty(path, FOLDERS)
    (path / ORDER).write_text("secret")
    (path / STARTED).touch()
    (path / EXIT).write_text(json.dumps({KEY: path.name, CLEAN: clean}))
    return path


def keep(spares: SpareDirectories, path: Path) -> bool:
    with Folder(path) as folder:
        return spares.keep(path, folder)


def test_a_clean_directory_is_used_again(tmp_path: Path, spares: SpareDirectories) -> None:
    path = settled(tmp_path)
    inode = path.stat().st_ino
    assert keep(spares, path) and not path.exists()
    spare = spares.take()
    assert spare is not None and spare.stat().st_ino == inode
    assert sorted(os.listdir(spare)) == ["artifacts", ORDER, *DRAFTS, "tmp", "work"]
    assert [(spare / name).read_bytes() for name in (ORDER, *DRAFTS)] == [b"", b"", b""]
    assert spares.take() is None


@pytest.mark.parametrize("name", [ORDER, STARTED])
def test_nothing_is_emptied_through_a_second_name(
    name: str, tmp_path: Path, spares: SpareDirectories
) -> None:
    path = settled(tmp_path)
    (path / name).unlink()
    (tmp_path / "precious").write_text("of the agent's user")
    os.link(tmp_path / "precious", path / name)
    assert not keep(spares, path)
    assert spares.take() is None
    assert (tmp_path / "precious").read_text() == "of the agent's user"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: (path / "work" / "x").touch(),
        lambda path: (path / "artifacts" / "x").touch(),
        lambda path: (path / "output.log").touch(),
        lambda path: (path / "control").touch(),
        lambda path: (path / "work").chmod(0o755),
        lambda path: (path / "work").rmdir(),
        lambda path: (path / EXIT).unlink(),
        lambda path: (path / EXIT).write_text("{"),
        lambda path: (path / EXIT).write_text("{}"),
        lambda path: (path / EXIT).write_text(json.dumps({CLEAN: True})),
        lambda path: (path / EXIT).write_text(json.dumps({KEY: "J.2", CLEAN: True})),
    ],
)
def test_anything_odd_is_left_alone(
    tmp_path: Path, spares: SpareDirectories, spoil: Callable[[Path], object]
) -> None:
    path = settled(tmp_path)
    spoil(path)
    before = sorted(os.listdir(path))
    assert not keep(spares, path)
    assert sorted(os.listdir(path)) == before and spares.take() is None


def test_a_link_in_place_of_a_folder_is_not_followed(
    tmp_path: Path, spares: SpareDirectories
) -> None:
    path = settled(tmp_path)
    (tmp_path / "other").mkdir(0o700)
    (path / "work").rmdir()
    (path / "work").symlink_to(tmp_path / "other")
    assert not keep(spares, path)


def test_what_lives_on_or_is_held_is_left_alone(tmp_path: Path, spares: SpareDirectories) -> None:
    path = settled(tmp_path, clean=False)
    assert not keep(spares, path)
    (path / EXIT).write_text(json.dumps({KEY: path.name, CLEAN: True}))
    shim = os.open(path, os.O_RDONLY)
    fcntl.flock(shim, fcntl.LOCK_EX)
    assert not keep(spares, path)
    os.close(shim)
    assert keep(spares, path)


def test_what_took_its_place_meanwhile_is_not_used(
    tmp_path: Path, spares: SpareDirectories, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = settled(tmp_path)

    def swapped(old: Path, new: Path) -> None:
        old.rename(tmp_path / "moved")
        old.mkdir()
        (old / ORDER).write_text("of a living process")
        os.rename(old, new)

    monkeypatch.setattr(module, "rename", swapped)
    assert not keep(spares, path)
    assert spares.take() is None
    assert (tmp_path / f"{module.SPARE}0" / ORDER).exists(), "nothing in it was touched"


def test_there_are_never_too_many(tmp_path: Path, spares: SpareDirectories, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    assert keep(spares, settled(tmp_path))
    assert not keep(spares, settled(tmp_path))


def test_some_are_made_and_those_of_a_former_agent_removed(
    tmp_path: Path, spares: SpareDirectories
) -> None:
    spares.fill()
    assert len(os.listdir(tmp_path)) == module.LEAST
    SpareDirectories(tmp_path, FOLDERS)
    assert os.listdir(tmp_path) == []


def test_none_with_a_work_directory_when_those_are_elsewhere(
    tmp_path: Path, spares: SpareDirectories
) -> None:
    spares.fill()
    spares.drop(FOLDERS[:-1])
    assert os.listdir(tmp_path) == [] and spares.take() is None
    spares.fill()
    spare = spares.take()
    assert spare is not None and sorted(os.listdir(spare)) == ["artifacts", "tmp"]


def test_a_disk_that_refuses_leaves_no_half_directory(tmp_path: Path, spares, monkeypatch) -> None:
    def refuse(path: Path, folders: object) -> None:
        path.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "make_empty", refuse)
    with pytest.raises(OSError, match="No space"):
        spares.fill()
    assert os.listdir(tmp_path) == []
