"""The service's process, without a service control manager."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remote_agent.service import process
from remote_agent.service.process import heard, run_service, run_under_launchd, variables


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the event log has got."""
    written: list[str] = []
    monkeypatch.setattr(process, "report", lambda name, text, error: written.append(text))
    return written


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of the environment end with the test."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


@pytest.mark.usefixtures("environ")
def test_the_agent_runs_with_the_services_settings(tmp_path: Path, events: list[str]) -> None:
    (tmp_path / "agent.env").write_text("# a word\nREMOTE_AGENT_SERVER=https://h\nX=a=b\n")

    def run() -> int:
        assert os.environ["REMOTE_AGENT_SERVER"] == "https://h" and os.environ["X"] == "a=b"
        assert os.environ["REMOTE_AGENT_STATE_DIR"] == str(tmp_path / "state")
        for name in ("CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY"):
            assert os.environ[name] == str(tmp_path)
        print("remote-agent: there is no network", file=sys.stderr)
        return 2

    assert run_service(run, tmp_path) == 2
    assert events == ["there is no network"]
    kept = (tmp_path / "state" / "logs" / "service.log").read_text()
    assert kept.partition(" ")[2] == "there is no network\n"
    # Refused for good: it is not to be started again and again.
    assert run_service(lambda: 4, tmp_path) == 0


@pytest.mark.parametrize(("code", "told"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0)])
def test_launchd_hears_of_no_failure_that_a_start_does_not_mend(
    code: int, told: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path))

    def run() -> int:
        print("remote-agent: the token was revoked", file=sys.stderr)
        return code

    assert run_under_launchd(run) == told
    kept = (tmp_path / "logs" / "service.log").read_text()
    assert kept.endswith(" the token was revoked\n"), "launchd has thrown it away"


def test_only_complaints_are_kept_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[str]
) -> None:
    monkeypatch.setattr(process, "_LARGEST", 100)
    before = sys.stderr
    with heard(tmp_path / "service.log"):
        print("registered as n")
        for number in range(9):
            print(f"remote-agent: fault {number}", end="")
            print(" of many", file=sys.stderr)
        assert not sys.stderr.isatty()
    assert sys.stderr is before
    assert events == [f"fault {number} of many" for number in range(9)]
    both = (tmp_path / "service.log.1").read_text() + (tmp_path / "service.log").read_text()
    assert both.count("of many") <= 9 and "fault 8 of many" in both and "registered" not in both
    assert (tmp_path / "service.log").stat().st_size < 200


def test_variables_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert variables(tmp_path / "none") == {}
    (tmp_path / "bad").write_bytes(b"\xff=\xff")
    assert variables(tmp_path / "bad") == {}
