"""Only its log stays of a settled attempt, whatever a job has put in place of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.journal.settled import keep_log
from remote_agent.processes import Folder
from remote_agent.shim.layout import INPUT, INPUT_END, MASK_FILE, ORDER, SETTLED, STARTED


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in (ORDER, INPUT, INPUT_END, "output.log"):
        (tmp_path / name).write_text(name)
    os.mkfifo(tmp_path / MASK_FILE)
    return tmp_path


def test_the_record_of_the_start_becomes_the_mark(directory: Path) -> None:
    (directory / STARTED).write_text("{}")
    os.utime(directory / STARTED, (1, 1))
    with Folder(directory) as folder:
        keep_log(folder)
    assert sorted(os.listdir(directory)) == sorted(["output.log", SETTLED])
    assert (directory / SETTLED).stat().st_mtime > 1, "the time at which it was settled"


@pytest.mark.parametrize("odd", [False, True])
def test_one_that_never_started_is_marked_too(directory: Path, odd: bool) -> None:
    if odd:
        (directory / SETTLED).mkdir()
        (directory / SETTLED / "of a job").touch()
    with Folder(directory) as folder:
        keep_log(folder)
    aside = [name for name in os.listdir(directory) if name.startswith("odd.")]
    assert len(aside) == odd
    assert sorted(os.listdir(directory)) == sorted([*aside, "output.log", SETTLED])
    assert (directory / SETTLED).is_file()
