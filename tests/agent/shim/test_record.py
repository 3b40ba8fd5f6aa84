"""Records appear whole, the start marker once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import Folder
from remote_agent.shim.layout import EXIT, STARTED
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
    marker = mark_begun(directory)
    assert has_begun(directory) and read_record(directory, STARTED) is None
    with pytest.raises(FileExistsError):
        mark_begun(directory)
    write_started(marker, {"pid": 7})
    os.close(marker)
    assert read_record(directory, STARTED) == {"v": 1, "pid": 7}


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
