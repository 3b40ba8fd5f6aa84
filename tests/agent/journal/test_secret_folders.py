"""What shims that were killed have left in memory is found again, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.journal import secret_folders as module
from remote_agent.journal.secret_folders import SecretFolders, prefix_in
from tests.support.fake_server import new_key


def left(prefix: str, key: object, end: str = "00ff") -> Path:
    path = Path(f"{prefix}{key}-{end}")
    path.mkdir(mode=0o700)
    (path / "A").write_text("hush")
    return path


def test_agents_of_other_directories_have_other_prefixes(tmp_path: Path) -> None:
    one, two = (prefix_in(str(tmp_path), tmp_path / name) for name in ("one", "two"))
    assert one != two and one.startswith(f"{tmp_path}/remote-agent-")
    (tmp_path / "link").symlink_to("one")
    assert prefix_in(str(tmp_path), tmp_path / "link") == one
    assert prefix_in(None, tmp_path) == ""


def test_only_attempts_that_run_keep_theirs(tmp_path: Path) -> None:
    prefix, other = prefix_in(str(tmp_path), Path("/one")), prefix_in(str(tmp_path), Path("/two"))
    runs, over = new_key(), new_key()
    kept, gone, foreign = left(prefix, runs), left(prefix, over), left(other, over)
    beside = tmp_path / "remote-agent-notes"
    beside.write_text("")
    SecretFolders(prefix).sweep([runs])
    assert kept.exists() and foreign.exists() and beside.exists() and not gone.exists()


def test_those_of_one_attempt(tmp_path: Path) -> None:
    prefix = prefix_in(str(tmp_path), Path("/one"))
    key, other = new_key(), new_key()
    first, second, kept = left(prefix, key, "01"), left(prefix, key, "02"), left(prefix, other)
    SecretFolders(prefix).remove(key)
    assert kept.exists() and not first.exists() and not second.exists()


def test_without_a_place_in_memory_nothing_is_looked_at() -> None:
    SecretFolders("").sweep([])
    SecretFolders("/absent/remote-agent-x-").remove(new_key())


def test_what_cannot_be_removed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module, "remove_tree", refuse)
    prefix = prefix_in(str(tmp_path), Path("/one"))
    path = left(prefix, new_key())
    SecretFolders(prefix).sweep([])
    said = capsys.readouterr()
    assert "secrets of a job cannot be removed" in said.out + said.err
    assert path.exists()
