"""Where jobs have their files, and how those go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.journal.files import JobFiles
from remote_agent.planning.paths import FOLDERS
from remote_protocol.attempt_id import AttemptId

KEY = AttemptId("J", 1)


def made(tmp_path: Path, separate: bool, work_dir: Path | None = None) -> JobFiles:
    config = Config.model_validate({"state_dir": tmp_path, "agent": {"work_dir": work_dir}})
    (tmp_path / "attempts" / str(KEY)).mkdir(parents=True, exist_ok=True)
    return JobFiles(config, tmp_path / "attempts", separate)


@pytest.mark.parametrize(
    ("separate", "elsewhere", "home", "work", "folders"),
    [
        (False, False, "attempts/J.1", "attempts/J.1/work", FOLDERS),
        (False, True, "attempts/J.1", "w/J.1", FOLDERS[:-1]),
        (True, False, "jobs/J.1", "jobs/J.1/work", ()),
        (True, True, "w/J.1", "w/J.1/work", ()),
    ],
)
def test_places(
    tmp_path: Path,
    separate: bool,
    elsewhere: bool,
    home: str,
    work: str,
    folders: tuple[str, ...],
) -> None:
    files = made(tmp_path, separate, tmp_path / "w" if elsewhere else None)
    places = files.paths(str(tmp_path / "attempts" / str(KEY)))
    assert (places.home, places.work) == (tmp_path / home, tmp_path / work)
    assert (places.apart, places.inside) == (separate, separate or not elsewhere)
    assert files.folders == folders
    for folder in ("work", "tmp"):
        place = tmp_path / (work if folder == "work" else f"{home}/tmp")
        (place / "x").mkdir(parents=True)
    files.discard(KEY)
    assert not (tmp_path / work).exists() and not (tmp_path / home / "tmp").exists()
    files.discard(KEY)


def test_the_folder_of_separate_jobs_can_be_passed(tmp_path: Path) -> None:
    former = os.umask(0o077)
    try:
        made(tmp_path / "a", separate=False).prepare()
        assert not (tmp_path / "a" / "jobs").exists()
        made(tmp_path / "b", True, tmp_path / "b" / "far" / "away").prepare()
    finally:
        os.umask(former)
    for place in ("far", "far/away"):
        assert (tmp_path / "b" / place).stat().st_mode & 0o777 == 0o711


def test_what_no_attempt_has_any_more_is_thrown_away(tmp_path: Path) -> None:
    files = made(tmp_path, separate=True)
    files.clear(set())
    files.prepare()
    for name in ("J.1", "J.2", ".new.J.3"):
        (tmp_path / "jobs" / name / "work").mkdir(parents=True)
    files.clear({"J.1"})
    assert sorted(os.listdir(tmp_path / "jobs")) == [".trash", "J.1"]
    assert files.purge(1) == 1 and files.purge(5) == 1
