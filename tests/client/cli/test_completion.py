"""`remotectl completion` and `version`."""

from __future__ import annotations

import subprocess

import pytest

from remote_client import __version__
from tests.client.conftest import call


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_name_the_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("completion", shell) == 0
    script = capsys.readouterr().out
    assert "_REMOTECTL_COMPLETE" in script and f"{shell}_complete" in script


def test_bash_takes_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("completion", "bash") == 0
    script = capsys.readouterr().out + "\ncomplete -p remotectl\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "remotectl" in done.stdout and done.stderr == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["version"], ["--version"], ["-V"]):
        assert call(*words) == 0
        assert capsys.readouterr().out == f"remotectl, version {__version__}\n"


def test_another_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("completion", "tcsh") == 2
