"""What the commands share: where the token comes from, ids by their beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_client.cli.session import Session
from remote_client.errors import UsageError
from tests.support.fake_api import ID, TOKEN, FakeApi, job_view


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


def test_ids(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    session = made(api.url)
    assert session.job_id(ID.lower()) == ID
    assert api.calls == []
    first = {"items": [job_view(id="01KADVTZ8" + "0" * 17)], "next_cursor": "next"}
    api.on("GET", "/jobs", first, {"items": [job_view()]})
    assert session.job_id(ID[:10]) == ID
    assert api.calls[1].query["cursor"] == "next"
    session.close()


def test_a_token_file_holds_one_word_of_text(tmp_path: Path) -> None:
    for content, says in ((b"\n", "is empty"), (b"\xff\xfe", "not a text file")):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(UsageError, match=says):
            _ = made("http://host", tmp_path / "token").token


def test_an_id_that_is_too_short(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    with pytest.raises(UsageError, match="too short for a job's id; write 4 characters"):
        made(api.url).job_id("01K")
    assert api.calls == []
