"""The command `doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote_agent.cli import main
from remote_agent.doctor.examination import STATIC

KEYS = ["check", "level", "status", "finding", "why", "cure", "code"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    return tmp_path


def findings(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, str]]:
    """What `doctor` prints as JSON, by check; its exit code must fit."""
    code = main(["doctor", "--output", "json", *words])
    found = json.loads(capsys.readouterr().out)
    assert all(list(one) == KEYS for one in found)
    assert code == int(any(one["status"] == "fail" for one in found))
    return {one["check"]: one for one in found}


def test_a_bare_host_is_told_all_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(capsys)
    assert {check.name for check in STATIC} <= found.keys()
    assert found["identity"]["code"] == "not_registered"
    assert "--server URL" in found["identity"]["why"] and "--token-file" in found["identity"]["why"]
    assert main(["doctor"]) == 1
    table = capsys.readouterr().out
    assert table.startswith("static:\n  pass  configuration")
    assert "[not_registered]" in table


def test_a_broken_configuration_ends_in_findings_too(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "agent.toml").write_text("[agent]\nqueus = 1\n")
    found = findings(capsys, "--config", str(state / "agent.toml"))
    assert found["configuration"]["code"] == "configuration_invalid"
    assert "agent.toml:2" in found["configuration"]["why"]
    assert found["disk"]["status"] == "skip"


def test_the_token_comes_from_flag_variable_or_file(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = "rpt_" + "s" * 43
    assert findings(capsys, "--token", api)["given token"]["code"] == "token_of_wrong_kind"
    monkeypatch.setenv("REMOTE_AGENT_TOKEN", api)
    assert findings(capsys)["given token"]["code"] == "token_of_wrong_kind"
    missing = str(state / "none")
    found = findings(capsys, "--token-file", missing)["given token"]
    assert found["code"] == "token_file_unreadable" and missing in found["finding"]
    monkeypatch.setenv("REMOTE_AGENT_TOKEN_FILE", missing)
    assert findings(capsys)["given token"]["code"] == "token_and_file"
    monkeypatch.delenv("REMOTE_AGENT_TOKEN")
    assert findings(capsys)["given token"]["code"] == "token_file_unreadable"


@pytest.mark.parametrize("words", ["soon", "1h"])
def test_a_silence_that_cannot_be_tried(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--idle", words]) == 2
    assert "--idle" in capsys.readouterr().err
