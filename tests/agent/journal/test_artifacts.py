"""What the journal knows of artifacts that are to be sent, and what it believes of their lists."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.journal import Journal
from remote_agent.journal.artifacts import ListedFile, read_list
from remote_agent.planning.order import HostContext
from remote_protocol.attempt_id import AttemptId
from tests.support.fake_server import new_key


def write(place: Path, body: object) -> None:
    (place / "artifacts.json").write_text(json.dumps(body))


def test_a_list(tmp_path: Path) -> None:
    write(tmp_path, {"v": 1, "files": [["a", 1], ["b/c", 0]], "uid": 7})
    assert read_list(tmp_path) == ([ListedFile(1, "a", 1), ListedFile(2, "b/c", 0)], 7)


@pytest.mark.parametrize(
    "files",
    [
        [["../a", 1]],
        [["/etc/passwd", 1]],
        [["a", -1]],
        [["a", "1"]],
        [[1, 1]],
        ["a"],
        {"a": 1},
        None,
    ],
)
def test_a_list_that_a_job_has_written(tmp_path: Path, files: object) -> None:
    write(tmp_path, {"v": 1, "files": files, "uid": "root"})
    assert read_list(tmp_path) == ([], None)


def test_what_is_no_list(tmp_path: Path) -> None:
    assert read_list(tmp_path) == ([], None)
    (tmp_path / "artifacts.json").write_text("nonsense")
    assert read_list(tmp_path) == ([], None)
    (tmp_path / "artifacts.json").unlink()
    os.mkfifo(tmp_path / "artifacts.json")
    with pytest.raises(OSError):
        read_list(tmp_path)


@pytest.fixture
def journal(config: Config) -> Journal:
    return Journal(config, HostContext("a", {}))


def with_artifacts(journal: Journal, key: AttemptId, log: bytes) -> Path:
    """An attempt that has ended, with a file to be sent."""
    place = journal.path(key)
    for name in ("artifacts", "work", "tmp"):
        (place / name).mkdir(parents=True)
    (place / "artifacts" / "a").write_text("x")
    (place / "work" / "large").write_text("y")
    (place / "exit.json").write_text("{}")
    (place / "started.json").write_text("{}")
    if log:
        (place / "output.log").write_bytes(log)
    write(place, {"v": 1, "files": [["a", 1]]})
    return place


@pytest.mark.parametrize("log", [b"some log", b""])
def test_they_stay_until_they_are_sent(journal: Journal, config: Config, log: bytes) -> None:
    key = new_key()
    place = with_artifacts(journal, key, log)
    heard: list[AttemptId] = []
    journal.artifacts.on_pending = heard.append
    journal.settle(key)
    assert heard == [key] and journal.artifacts.pending == {key}
    assert not (place / "work").exists() and (place / "settled").exists()
    again = Journal(config, HostContext("a", {}))
    assert again.scan() == [] and again.artifacts.pending == {key}, "the next process finds them"
    files = again.artifacts
    assert files.files(key) == [(1, "a", 1)]
    descriptor = files.open(key, "a")
    assert os.read(descriptor, 9) == b"x"
    os.close(descriptor)
    files.done(key)
    assert not files.pending
    left = sorted(path.name for path in place.iterdir()) if place.exists() else []
    assert left == (["exit.json", "output.log", "settled"] if log else [])


def test_retention_takes_them_along(journal: Journal) -> None:
    key = new_key()
    place = with_artifacts(journal, key, b"log")
    journal.settle(key)
    journal.remove(key)
    assert not place.exists() and not journal.artifacts.pending
    journal.artifacts.done(key)


def test_a_list_that_cannot_be_read_holds_up_nothing(journal: Journal) -> None:
    key = new_key()
    place = with_artifacts(journal, key, b"log")
    journal.settle(key)
    journal.artifacts.pending.clear()
    (place / "artifacts.json").unlink()
    os.mkfifo(place / "artifacts.json")
    journal.artifacts.find(key)
    assert not journal.artifacts.pending
