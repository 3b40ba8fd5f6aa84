"""The folder of all attempts: open to the agent, whatever jobs do to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.journal.folder import AttemptsFolder, parse_key
from remote_protocol.attempt_id import AttemptId
from tests.support.powerless import powerless


def test_what_a_job_closes_is_opened(tmp_path: Path) -> None:
    def closed() -> None:
        state = tmp_path / "state"
        folder = AttemptsFolder(state / "attempts")
        assert not folder.mend()
        for path in (state / "attempts", state):
            path.chmod(0)
        assert folder.mend() and not folder.mend() and folder.names() == []
        (state / "attempts").chmod(0)
        assert folder.names() == []
        (state / "attempts").chmod(0)
        AttemptsFolder(state / "attempts").probe()

    powerless(closed)


def test_what_is_no_attempt_is_moved_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = AttemptsFolder(tmp_path / "attempts")
    (tmp_path / "attempts" / "odd").symlink_to("/etc")
    for _ in range(2):
        folder.set_aside("odd", "it is a link")
        said = capsys.readouterr().out
        assert str(tmp_path / "attempts" / "odd") in said
    (moved,) = os.listdir(tmp_path / "attempts" / ".broken")
    assert moved.startswith("odd.") and "cannot be moved" in said


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    folder = AttemptsFolder(tmp_path / "attempts")
    folder.probe()
    assert folder.names() == []
    (tmp_path / "attempts").rmdir()
    with pytest.raises(FileNotFoundError):
        folder.probe()


def test_keys() -> None:
    job = "01HF7YAT00" + "0" * 16
    assert parse_key(f"{job}.1") == AttemptId(job, 1)
    for name in (
        job,
        f"{job}.0",
        f"{job}.01",
        f"{job}.x",
        f"{job}.1.2",
        "x.1",
        f"{job}.4294967296",
    ):
        assert parse_key(name) is None
