"""The command `debug bundle`."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from remote_agent.cli import main


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path))
    return tmp_path


def test_a_bundle_without_a_server_or_an_agent(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = state / "out.tar.gz"
    assert main(["debug", "bundle", str(file)]) == 0
    said = capsys.readouterr().out
    assert "manifest.json" in said and "look through it" in said
    assert file.stat().st_mode & 0o777 == 0o600
    assert main(["debug", "bundle", str(file)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["debug", "other", str(file)]) == main(["debug", "bundle"]) == 2


def test_a_bundle_of_a_broken_configuration(state: Path) -> None:
    (state / "agent.toml").write_text("[agent]\nqueus = 1\n")
    file = state / "out.tar.gz"
    assert main(["debug", "bundle", str(file), "--config", str(state / "agent.toml")]) == 0
    with tarfile.open(file) as archive:
        report = archive.extractfile("out/doctor.json")
        assert report is not None
        found = json.load(report)
    assert found[0]["code"] == "configuration_invalid"
