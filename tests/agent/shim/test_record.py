"""Records appear whole, the start marker once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remote_agent.processes import Folder
from remote_agent.shim.layout import DRAFT, EXIT, STARTED
from remote_agent.shim.record import (
    has_begun,
    mark_begun,
    read_record,
    sync_record,
    write_record,
    write_started,
)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Folder]:
    with Folder(tmp_path) as folder:
        yield folder


def test_an_attempt_begins_once(directory: Folder) -> None:
    assert not has_begun(directory)
    mark_begun(directory)
    assert has_begun(directory) and read_record(directory, STARTED) is None
    with pytest.raises(FileExistsError):
        mark_begun(directory)
    write_started(directory, b'{"v":1,"pid":7}')
    assert read_record(directory, STARTED) == {"v": 1, "pid": 7}


def test_files_of_a_directory_that_is_used_again_become_its_records(
    directory: Folder, tmp_path: Path
) -> None:
    drafts = [tmp_path / f"{name}{DRAFT}" for name in (STARTED, EXIT)]
    for draft in drafts:
        draft.touch(0o600)
    inodes = [draft.stat().st_ino for draft in drafts]
    mark_begun(directory)
    with pytest.raises(FileExistsError):
        mark_begun(directory)
    write_started(directory, b'{"v":1,"pid":7}')
    write_record(directory, EXIT, {"a": 1})
    assert read_record(directory, STARTED) == {"v": 1, "pid": 7}
    assert read_record(directory, EXIT) == {"v": 1, "a": 1}
    assert sorted(os.listdir(tmp_path)) == [EXIT, STARTED]
    assert [(tmp_path / name).stat().st_ino for name in (STARTED, EXIT)] == inodes


def _second_name(draft: Path) -> None:
    draft.with_name("other").touch()
    os.link(draft.with_name("other"), draft)


@pytest.mark.parametrize(
    "plant",
    [
        lambda draft: draft.write_text("something of the job"),
        lambda draft: draft.mkdir(),
        os.mkfifo,
        lambda draft: draft.symlink_to("/dev/full"),
        _second_name,
    ],
)
def test_what_a_job_has_put_in_place_of_a_draft_is_no_part_of_the_record(
    directory: Folder, tmp_path: Path, plant: Callable[[Path], object]
) -> None:
    plant(tmp_path / f"{EXIT}{DRAFT}")
    write_record(directory, EXIT, {"a": 1})
    assert read_record(directory, EXIT) == {"v": 1, "a": 1}
    assert not (tmp_path / f"{EXIT}{DRAFT}").exists()


@pytest.mark.parametrize("sync", [False, True])
def test_records_replace_each_other_whole(directory: Folder, sync: bool, tmp_path: Path) -> None:
    assert read_record(directory, EXIT) is None
    write_record(directory, EXIT, {"a": "x" * 9000}, sync)
    write_record(directory, EXIT, {"a": "ü"}, sync)
    assert read_record(directory, EXIT) == {"v": 1, "a": "ü"}
    assert os.listdir(tmp_path) == [EXIT]


def test_a_record_is_forced_to_the_disk_later(directory: Folder, monkeypatch) -> None:
    with pytest.raises(FileNotFoundError):
        sync_record(directory, EXIT)
    write_record(directory, EXIT, {})
    forced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: forced.append(os.readlink(f"/proc/self/fd/{fd}")))
    sync_record(directory, EXIT)
    here = os.readlink(f"/proc/self/fd/{directory.descriptor}")
    assert forced == [f"{here}/{EXIT}", here]


def test_what_a_power_loss_leaves_is_no_record(directory: Folder, tmp_path: Path) -> None:
    for rest in (b"", b'{"v":1,"ex', b"\0" * 300, b"[1]"):
        (tmp_path / EXIT).write_bytes(rest)
        assert read_record(directory, EXIT) is None
