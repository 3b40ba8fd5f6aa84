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
from remote_agent.shim.ending import EndResult
from remote_agent.shim.layout import CLEAN, DRAFT, EXIT, KEY, MASK_FILE, ORDER, STARTED
from remote_agent.shim.record_text import ExitRecord
from remote_agent.spool import LIVE, closed_name

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
        return spares.keep(str(path), folder, str(path.parent / "log"))


@pytest.mark.parametrize("pids", ["", "of a job that ran for a while"])
def test_a_clean_directory_is_used_again(
    tmp_path: Path, spares: SpareDirectories, pids: str
) -> None:
    path = settled(tmp_path)
    (path / STARTED).write_text(pids)
    inode = path.stat().st_ino
    assert keep(spares, path) and not path.exists()
    spare = Path(spares.take("J.2") or "none")
    assert spare.stat().st_ino == inode
    assert sorted(os.listdir(spare)) == ["artifacts", ORDER, *DRAFTS, "tmp", "work"]
    assert [(spare / name).read_bytes() for name in (ORDER, *DRAFTS)] == [b"", b"", b""]
    assert spares.take("J.3") is None


def test_a_log_is_moved_and_its_directory_used_again(
    tmp_path: Path, spares: SpareDirectories
) -> None:
    path = settled(tmp_path)
    (path / LIVE).write_text("printed")
    os.utime(path / LIVE, (1, 1))
    assert keep(spares, path) and not path.exists()
    assert (tmp_path / "log").read_text() == "printed"
    assert (tmp_path / "log").stat().st_mtime > 1, "from when it was settled"
    spare = Path(spares.take("J.2") or "none")
    assert sorted(os.listdir(spare)) == ["artifacts", ORDER, *DRAFTS, "tmp", "work"]


def test_a_log_that_cannot_be_moved_stays(tmp_path: Path, spares: SpareDirectories) -> None:
    path = settled(tmp_path)
    (path / LIVE).write_text("printed")
    with Folder(path) as folder:
        assert not spares.keep(str(path), folder, str(tmp_path / "gone" / "log"))
    assert (path / LIVE).read_text() == "printed"


def test_the_way_to_name_secrets_goes(tmp_path: Path, spares: SpareDirectories) -> None:
    path = settled(tmp_path)
    os.mkfifo(path / MASK_FILE)
    assert keep(spares, path)
    spare = Path(spares.take("J.2") or "none")
    assert MASK_FILE not in os.listdir(spare) and (spare / "work").is_dir()


@pytest.mark.parametrize("name", [ORDER, STARTED])
def test_nothing_is_emptied_through_a_second_name(
    name: str, tmp_path: Path, spares: SpareDirectories
) -> None:
    path = settled(tmp_path)
    (path / name).unlink()
    (tmp_path / "precious").write_text("of the agent's user")
    os.link(tmp_path / "precious", path / name)
    assert not keep(spares, path)
    assert spares.take("J.2") is None
    assert (tmp_path / "precious").read_text() == "of the agent's user"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: (path / "work" / "x").touch(),
        lambda path: (path / "artifacts" / "x").touch(),
        lambda path: (path / "output.log").mkdir(),
        lambda path: os.link(path / ORDER, path / "output.log"),
        lambda path: (path / closed_name(0)).touch(),
        lambda path: (path / "control").touch(),
        lambda path: (path / MASK_FILE).mkdir(),
        lambda path: (path / "work").chmod(0o755),
        lambda path: (path / "work").rmdir(),
        lambda path: (path / EXIT).unlink(),
        lambda path: (path / EXIT).write_text("{"),
        lambda path: (path / EXIT).write_text("{}"),
        lambda path: (path / EXIT).write_text(json.dumps({CLEAN: True})),
        lambda path: (path / EXIT).write_text(json.dumps({KEY: "J.2", CLEAN: True})),
        lambda path: (path / EXIT).write_text("[]"),
        lambda path: (path / EXIT).write_text(
            json.dumps({KEY: path.name, CLEAN: True, "steps": ["x" * module._LONGEST]})
        ),
    ],
)
def test_anything_odd_is_left_alone(
    tmp_path: Path, spares: SpareDirectories, spoil: Callable[[Path], object]
) -> None:
    path = settled(tmp_path)
    spoil(path)
    before = sorted(os.listdir(path))
    assert not keep(spares, path)
    assert sorted(os.listdir(path)) == before and spares.take("J.2") is None


def written(key: str, clean: bool, detail: str = "") -> str:
    """A record as shims write it."""
    end = EndResult(0, "exit", detail)
    return ExitRecord(f'"{key}"', end, 0, 0, "{}", None, 1.0, "[]", {}, clean).text()


def test_records_of_shims_are_understood_undecoded(
    tmp_path: Path, spares: SpareDirectories, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = settled(tmp_path)
    (path / EXIT).write_text(written("J.1", True))
    monkeypatch.setattr(module, "from_json", None)
    assert keep(spares, path)


@pytest.mark.parametrize(
    "record",
    [
        written("J.1", False),
        written("J.11", True),
        written("J.1", False, ',"clean":true}'),
        written("J.1", True, "x" * module._LONGEST),
        written("J.1", True) + "}",
        written("J.1", True)[:-1],
    ],
)
def test_other_records_of_shims_are_left_alone(
    tmp_path: Path, spares: SpareDirectories, record: str
) -> None:
    path = settled(tmp_path)
    (path / EXIT).write_text(record)
    assert not keep(spares, path) and path.exists()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were looked into."""
    found: list[str] = []
    look_into = Folder.untouched

    def untouched(folder: Folder, name: str) -> bool:
        found.append(name)
        return look_into(folder, name)

    monkeypatch.setattr(Folder, "untouched", untouched)
    return found


def attempt(spares: SpareDirectories, root: Path, name: str = "J.1") -> Path:
    """A spare directory that becomes an attempt's, which leaves nothing."""
    spare = spares.take(name)
    assert spare is not None
    os.rename(spare, root / name)
    for file in (ORDER, STARTED):
        (root / name / file).touch()
    (root / name / EXIT).write_text(json.dumps({KEY: name, CLEAN: True}))
    for file in (STARTED, EXIT):
        (root / name / (file + DRAFT)).unlink(missing_ok=True)
    return root / name


@pytest.fixture
def old(
    tmp_path: Path, spares: SpareDirectories, monkeypatch: pytest.MonkeyPatch
) -> SpareDirectories:
    """One that has been ready for so long that any change shows."""
    monkeypatch.setattr(module, "LEAST", 1)
    spares.fill()
    probe = tmp_path / "probe"
    probe.touch()
    made = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == made:
        os.utime(probe)
    monkeypatch.setattr(module, "SETTLED_FOR", 0.0)
    return spares


def test_folders_that_have_not_changed_are_not_looked_into(
    tmp_path: Path, old: SpareDirectories, looks: list[str]
) -> None:
    looks.clear()
    for name in ("J.1", "J.2"):
        assert keep(old, attempt(old, tmp_path, name))
    assert looks == []


def test_a_change_since_the_last_look_may_have_its_time(
    tmp_path: Path, old: SpareDirectories, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED_FOR", 3600.0)
    looks.clear()
    assert keep(old, attempt(old, tmp_path))
    assert looks == list(FOLDERS)
    monkeypatch.setattr(module, "SETTLED_FOR", 0.0)
    assert keep(old, attempt(old, tmp_path, "J.2"))
    assert looks == list(FOLDERS), "the marks of the first look are good enough now"


def undone(work: Path) -> None:
    (work / "x").touch()
    (work / "x").unlink()


def hidden(work: Path) -> None:
    (work / "x").touch()
    os.utime(work, (1, 1))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda work: (work / "x").touch(), False),
        (lambda work: (work / "x").mkdir(), False),
        (lambda work: work.chmod(0o777), False),
        (undone, True),
        (hidden, False),
        (lambda work: (work.rename(work.with_name("w")), work.mkdir(0o700)), False),
        (lambda work: (work.rmdir(), work.mkdir(0o700)), True),
    ],
)
def test_a_folder_that_has_changed_is_looked_into(
    tmp_path: Path,
    old: SpareDirectories,
    looks: list[str],
    change: Callable[[Path], object],
    kept: bool,
) -> None:
    path = attempt(old, tmp_path)
    looks.clear()
    change(path / "work")
    assert keep(old, path) is kept
    if kept:
        looks.clear()
        assert keep(old, attempt(old, tmp_path, "J.2"))
        assert looks == [], "what it is like now is known"


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

    def swapped(old: str, new: str) -> None:
        os.rename(old, tmp_path / "moved")
        os.mkdir(old)
        Path(old, ORDER).write_text("of a living process")
        os.rename(old, new)

    monkeypatch.setattr(module, "rename", swapped)
    assert not keep(spares, path)
    assert spares.take("J.2") is None
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
    assert os.listdir(tmp_path) == [] and spares.take("J.2") is None
    spares.fill()
    spare = spares.take("J.2")
    assert spare is not None and sorted(os.listdir(spare)) == ["artifacts", "tmp"]


def test_a_disk_that_refuses_leaves_no_half_directory(tmp_path: Path, spares, monkeypatch) -> None:
    def refuse(path: str, folders: object) -> None:
        os.mkdir(path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "make_empty", refuse)
    with pytest.raises(OSError, match="No space"):
        spares.fill()
    assert os.listdir(tmp_path) == []
