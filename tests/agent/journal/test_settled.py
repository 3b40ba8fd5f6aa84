"""Only its log stays of a settled attempt, whatever a job has put in place of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.journal.folder import AttemptsFolder
from remote_agent.journal.settled import LOGS, SettledLogs, keep_log
from remote_agent.processes import Folder
from remote_agent.shim.layout import INPUT, INPUT_END, MASK_FILE, ORDER, SETTLED, STARTED
from tests.support.log_keys import new_key


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


@pytest.mark.parametrize("what", ["file", "link"])
def test_what_a_job_has_put_in_place_of_the_logs_is_moved_away(tmp_path: Path, what: str) -> None:
    attempts, other = tmp_path / "attempts", tmp_path / "other"
    attempts.mkdir()
    other.mkdir()
    if what == "file":
        (attempts / LOGS).write_text("of a job")
    else:
        (attempts / LOGS).symlink_to(other)
    logs = SettledLogs(attempts, AttemptsFolder(attempts))
    assert not (attempts / LOGS).is_symlink() and os.listdir(attempts / LOGS) == []
    assert len(os.listdir(attempts / ".broken")) == 1
    key = new_key()
    Path(logs.path(str(key))).write_bytes(b"kept")
    (attempts / LOGS / "no attempt").touch()
    assert [log.key for log in logs.find()] == [key]


def test_logs_that_a_job_takes_away_hide_no_others(tmp_path: Path) -> None:
    logs = SettledLogs(tmp_path, AttemptsFolder(tmp_path))
    key = new_key()
    (tmp_path / str(key)).mkdir()
    (tmp_path / str(key) / SETTLED).touch()
    (tmp_path / LOGS).rmdir()
    (tmp_path / LOGS).touch()
    assert [log.key for log in logs.find()] == [key]
    assert (tmp_path / LOGS).is_dir()
    (tmp_path / LOGS).chmod(0)
    assert [log.key for log in logs.find()] == [key]
    assert (tmp_path / LOGS).stat().st_mode & 0o777 == 0o700


def test_a_log_counts_with_what_it_takes_on_the_disk(tmp_path: Path) -> None:
    """A line takes a block; of a file with holes its length counts."""
    logs = SettledLogs(tmp_path, AttemptsFolder(tmp_path))
    line, holes = (Path(logs.path(str(new_key()))) for _ in range(2))
    line.write_bytes(b"a line\n")
    with line.open("rb") as file:
        os.fsync(file.fileno())
    holes.touch()
    os.truncate(holes, 10_000_000)
    sizes = {str(log.key): log.size for log in logs.find()}
    taken = line.stat().st_blocks * 512
    assert sizes == {line.name: max(taken, 7), holes.name: 10_000_000}
    assert taken > 7
