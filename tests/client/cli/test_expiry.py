"""The end of the token in use is told in time, once a day."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remote_client.cli import expiry
from remote_client.cli.session import Session
from remote_client.config import config_file
from tests.support.fake_api import TOKEN, Answer, FakeApi

URL = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def ending(**left: float) -> str:
    return (datetime.now(UTC) + timedelta(**left)).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    assert found.out == ""
    return found.err


def test_it_is_said_once_a_day_for_each_token(capsys: pytest.CaptureFixture[str]) -> None:
    ends, other = ending(days=3), ending(days=4)
    expiry.warn(URL, ends)
    said = told(capsys)
    assert f"the token in use ends {ends}, in " in said and "make a new one" in said
    expiry.warn(URL, ends)
    assert told(capsys) == ""
    expiry.warn(URL, other)
    assert other in told(capsys)
    for file in Path(config_file()).parent.iterdir():
        assert file.read_text() == ""
        os.utime(file, (1.0, 1.0))
    expiry.warn(URL, ends)
    assert ends in told(capsys)


def test_where_nothing_can_be_written_it_is_said_each_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "file"))
    for _ in range(2):
        expiry.warn(URL, ending(hours=2))
        assert "in 1h" in told(capsys)


@pytest.mark.parametrize("ends", ["", "soon", "2026-01-01", "2020-01-01T00:00:00Z", "\x1b[2J"])
def test_what_says_nothing_is_passed_over(ends: str, capsys: pytest.CaptureFixture[str]) -> None:
    expiry.warn(URL, ends)
    assert told(capsys) == ""


def test_a_command_says_it_after_its_own_words(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"Remote-Token-Expires": ending(days=2)}
    api.on("GET", "/tokens", Answer({"items": []}, headers=headers))
    for said in (True, False):
        assert ctl("token", "list") == 0
        assert ("the token in use ends" in capsys.readouterr().err) is said


def test_a_shell_that_completes_a_word_hears_nothing(
    api: FakeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on(
        "GET", "/queues", Answer({"items": []}, headers={"Remote-Token-Expires": ending(days=2)})
    )
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    session = Session()
    session.url = api.url
    session.briefly(5.0).page("queues")
    session.close()
    assert capsys.readouterr().err == ""
