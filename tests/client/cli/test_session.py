"""What the commands share: where the token comes from, ids by their beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_client.cli.session import Session
from remote_client.errors import UsageError


def made(url: str, token_file: Path | None = None) -> Session:
    session = Session()
    session.url = url
    session.token_file = None if token_file is None else str(token_file)
    return session


def test_the_token_comes_from_file_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", "rpt_env")
    assert made("http://host").token == "rpt_env"
    (tmp_path / "token").write_text("rpt_file\n")
    assert made("http://host", tmp_path / "token").token == "rpt_file"
    with pytest.raises(UsageError, match="cannot be read"):
        _ = made("http://host", tmp_path / "none").token


def test_a_token_file_holds_one_word_of_text(tmp_path: Path) -> None:
    for content, says in ((b"\n", "is empty"), (b"\xff\xfe", "not a text file")):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(UsageError, match=says):
            _ = made("http://host", tmp_path / "token").token
