"""The agent's own log: its forms, its file, and no token in it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
import structlog

from remote_agent.local.logging_setup import mask, set_up_logging


@pytest.fixture(autouse=True)
def restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_file_holds_json_without_tokens(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    set_up_logging(tmp_path, "info", "json")
    structlog.get_logger("test").info("hello", token="rat_abcdefghijklmnop", job="J")
    lines = (tmp_path / "logs" / "agent.log").read_text().splitlines()
    entry = json.loads(lines[-1])
    assert (entry["event"], entry["job"], entry["level"]) == ("hello", "J", "info")
    assert entry["token"] == "rat_***"
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["event"] == "hello"


@pytest.mark.skipif(sys.platform == "win32", reason="the folder's access list keeps others out")
def test_the_file_is_the_agents_own(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "agent.log"
    path.parent.mkdir()
    path.write_text("from before\n")
    path.chmod(0o644)
    set_up_logging(tmp_path, "info", "json")
    assert path.stat().st_mode & 0o777 == 0o600


def test_people_get_a_line_without_json(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    set_up_logging(tmp_path, "info", "human")
    logging.getLogger("other").warning("from the standard library")
    text = capsys.readouterr().err
    assert "from the standard library" in text and not text.startswith("{")


def test_debug_is_left_out_at_info(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    set_up_logging(tmp_path, "info", "json")
    structlog.get_logger("test").debug("noise")
    assert "noise" not in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "logs").write_text("in the way")
    set_up_logging(tmp_path, "info", "json")
    structlog.get_logger("test").info("goes on")
    text = capsys.readouterr().err
    assert "no log file is kept" in text and "goes on" in text


def test_tokens_are_masked_wherever_they_stand() -> None:
    assert mask("url?t=rrt_ABCDEFGHIJ and rpt_0123456789") == "url?t=rrt_*** and rpt_***"
    assert mask("via http://me:hunter2@proxy:3128/") == "via http://me:***@proxy:3128/"
    assert mask("at http://proxy:3128/a@b") == "at http://proxy:3128/a@b"


@pytest.mark.parametrize("form", ["json", "human"])
def test_nested_values_and_tracebacks_are_masked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture, form: str
) -> None:
    set_up_logging(tmp_path, "info", form)
    secret = "rat_abcdefghijklmnop"
    structlog.get_logger("test").info("nested", headers={"Authorization": [f"Bearer {secret}"]})
    try:
        raise ValueError(f"bad header {secret}")
    except ValueError:
        structlog.get_logger("test").exception("failed")
        logging.getLogger("other").exception("failed there")
    text = capsys.readouterr().err + (tmp_path / "logs" / "agent.log").read_text()
    assert secret not in text
    assert text.count("bad header rat_***") >= 4


def test_setting_up_again_changes_the_level(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    log = structlog.get_logger("test")
    set_up_logging(tmp_path, "info", "json")
    log.debug("not yet")
    set_up_logging(tmp_path, "debug", "json")
    log.debug("now")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["now"]
    assert len((tmp_path / "logs" / "agent.log").read_text().splitlines()) == 1
