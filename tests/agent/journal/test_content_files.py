"""Contents in the folders of jobs: put there once, as copies, in their places."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.journal import Journal
from remote_agent.journal.content_files import PLACED, ContentFiles
from remote_agent.journal.directory import BadFile
from remote_agent.planning.order import HostContext
from remote_protocol.attempt_id import AttemptId
from remote_protocol.contents import ContentRef
from remote_protocol.messages import Offer
from remote_protocol.spec import CommandSpec, JobSpec, PythonSpec
from tests.support.fake_server import new_key

ONE, TWO = ContentRef("1" * 64, 3), ContentRef("2" * 64, 3)


@pytest.fixture
def journal(config: Config) -> Journal:
    return Journal(config, HostContext("a", {}))


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    folder = tmp_path / "cached"
    folder.mkdir()
    for ref in (ONE, TWO):
        (folder / ref.digest).write_text(ref.digest[:3])
    return folder


def file(path: str, ref: ContentRef, mode: int = 0o600) -> dict[str, object]:
    return {"path": path, "digest": ref.digest, "size": ref.size, "mode": mode}


def stored(journal: Journal, spec: JobSpec) -> AttemptId:
    key = new_key()
    journal.store(Offer(attempt=key, spec=spec))
    return key


def place(journal: Journal, key: AttemptId, spec: JobSpec, cached: Path) -> ContentFiles:
    files = ContentFiles(journal)
    assert not files.placed(key)
    files.place(key, spec, lambda ref: os.open(cached / ref.digest, os.O_RDONLY))
    assert files.placed(key)
    return files


def test_files_beside_those_that_the_job_carries(journal: Journal, cached: Path) -> None:
    carried = {"path": "d/c", "content": "YWJj"}
    files = [carried, file("d/a", ONE, 0o700), file("b", TWO), file("again", ONE)]
    spec = CommandSpec.model_validate({"command": ["true"], "files": files})
    key = stored(journal, spec)
    work = journal.path(key) / "work"
    assert sorted(path.name for path in work.rglob("*")) == ["c", "d"]
    place(journal, key, spec, cached)
    found = {str(p.relative_to(work)): p.read_text() for p in work.rglob("*") if p.is_file()}
    assert found == {"d/c": "abc", "d/a": "111", "b": "222", "again": "111"}
    assert (work / "d" / "a").stat().st_mode & 0o777 == 0o700
    (work / "b").write_text("changed")
    assert (cached / TWO.digest).read_text() == "222"
    assert (journal.path(key) / PLACED).exists()


def test_the_bundle_of_a_python_job(journal: Journal, cached: Path) -> None:
    bundle = {"digest": ONE.digest, "size": 3, "form": "zip"}
    spec = PythonSpec.model_validate({"kind": "python", "bundle": bundle, "entry": "main.py"})
    key = stored(journal, spec)
    place(journal, key, spec, cached)
    assert (journal.path(key) / "bundle.zip").read_text() == "111"
    assert (journal.path(key) / "unpacking.py").exists()


def test_a_file_in_the_way(journal: Journal, cached: Path) -> None:
    spec = CommandSpec.model_validate({"command": ["true"], "files": [file("d/a", ONE)]})
    key = stored(journal, spec)
    (journal.path(key) / "work" / "d").write_text("in the way")
    with pytest.raises(BadFile, match="'work/d/a' cannot be put into its work directory"):
        place(journal, key, spec, cached)


def test_a_directory_that_is_gone(journal: Journal) -> None:
    with pytest.raises(FileNotFoundError):
        ContentFiles(journal).placed(new_key())
