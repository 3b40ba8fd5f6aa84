"""What the commands share: where the token comes from, ids by their beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_client.cli.session import Session
from remote_client.errors import UsageError
from tests.support.fake_api import ID, TOKEN, FakeApi, job_view


def test_the_token_comes_from_file_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", "rpt_env")
    assert Session("http://host", None, None).token == "rpt_env"
    (tmp_path / "token").write_text("rpt_file\n")
    assert Session("http://host", tmp_path / "token", None).token == "rpt_file"
    with pytest.raises(UsageError, match="cannot be read"):
        _ = Session("http://host", tmp_path / "none", None).token


def test_ids(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    session = Session(api.url, None, None)
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
            _ = Session("http://host", tmp_path / "token", None).token


def test_an_id_that_is_too_short(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    with pytest.raises(UsageError, match="too short for a job's id; write 4 characters"):
        Session(api.url, None, None).job_id("01K")
    assert api.calls == []
