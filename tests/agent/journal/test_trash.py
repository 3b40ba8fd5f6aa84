"""The trash: at once away, deleted later, and nothing in it holds up the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.journal import trash as module
from remote_agent.journal.trash import Trash
from tests.support.powerless import powerless


def test_taking_is_at_once_and_repeatable(tmp_path: Path) -> None:
    trash = Trash(tmp_path)
    for _ in range(3):
        (tmp_path / "x" / "y").mkdir(parents=True)
        trash.take(tmp_path / "x")
        assert not (tmp_path / "x").exists()
    trash.take(tmp_path / "x")
    assert sorted(os.listdir(tmp_path / ".trash")) == ["x.0", "x.1", "x.2"]
    assert trash.purge(2) == 2 and trash.purge(2) == 1 and trash.purge(2) == 0


def test_an_empty_trash_needs_no_folder(tmp_path: Path) -> None:
    assert Trash(tmp_path).purge(5) == 0 and os.listdir(tmp_path) == []


def test_a_folder_that_its_job_has_closed(tmp_path: Path) -> None:
    def closed() -> None:
        trash = Trash(tmp_path)
        (tmp_path / "x" / "y").mkdir(parents=True)
        (tmp_path / "x").chmod(0o500)
        trash.take(tmp_path / "x")
        (tmp_path / ".trash").chmod(0)
        assert trash.purge(5) == 1

    powerless(closed)
    assert os.listdir(tmp_path / ".trash") == []


def test_what_cannot_be_deleted_is_said_once_and_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trash = Trash(tmp_path)
    for name in "abc":
        (tmp_path / name).mkdir()
        trash.take(tmp_path / name)

    def refuse(path: Path) -> None:
        if path.name.startswith("b"):
            raise PermissionError(1, "Operation not permitted", f"{path}/inner")
        path.rmdir()

    monkeypatch.setattr(module, "remove_tree", refuse)
    assert trash.purge(3) == 2
    said = capsys.readouterr().out
    assert f"{tmp_path}/.trash/b.0/inner" in said and "Operation not permitted" in said
    assert trash.purge(3) == 0 and "inner" not in capsys.readouterr().out
    monkeypatch.setattr(module, "AGAIN", 0.0)
    assert trash.purge(3) == 0 and "inner" not in capsys.readouterr().out, "said once"
    monkeypatch.setattr(module, "remove_tree", Path.rmdir)
    assert trash.purge(3) == 1
