"""Where the files of a job are, in the agent's directories and in others."""

from __future__ import annotations

from pathlib import Path

from remote_agent.planning.paths import FOLDERS, job_paths

DIRECTORY = Path("/state/attempts/J.1")


def test_all_is_in_the_directory_of_the_attempt() -> None:
    paths = job_paths(str(DIRECTORY), None, None)
    assert (paths.home, paths.work) == (DIRECTORY, DIRECTORY / "work")
    assert paths.folders == FOLDERS and paths.of("outputs") == "/state/attempts/J.1/outputs"


def test_the_work_directory_is_where_the_configuration_says() -> None:
    paths = job_paths(str(DIRECTORY), Path("/scratch"), None)
    assert (paths.home, paths.work) == (DIRECTORY, Path("/scratch/J.1"))
    assert paths.work_dir == "/scratch/J.1"
    assert set(paths.folders) == set(FOLDERS) - {"work"}


def test_jobs_of_other_users_have_a_folder_of_their_own() -> None:
    for work_root, home in ((None, "/state/jobs/J.1"), (Path("/scratch"), "/scratch/J.1")):
        paths = job_paths(str(DIRECTORY), work_root, Path("/state/jobs"))
        assert (paths.home, paths.work) == (Path(home), Path(home) / "work")
        assert paths.apart and paths.folders == ()
