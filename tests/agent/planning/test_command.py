"""Commands and scripts, as a shim has to run them."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.planning.command import OWN_FILES, plan
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import Work, WorkFile
from remote_protocol.spec import CommandSpec

HOME = Path("/state/attempts/J.1")
PATHS = JobPaths(str(HOME), str(HOME / "work"))
SCRIPT = "/state/attempts/J.1/script"


def planned(**spec) -> Work:
    return plan(CommandSpec.model_validate(spec), PATHS, Config(state_dir=HOME))


def test_a_command_runs_as_it_is() -> None:
    assert planned(command=["echo", "a b"]) == Work(["echo", "a b"])


@pytest.mark.parametrize(
    ("shell", "start"),
    [("bash", ["bash"]), ("python3 -u -X 'dev'", ["python3", "-u", "-X", "dev"])],
)
def test_a_shell_gets_the_script_as_a_file(shell: str, start: list[str]) -> None:
    for spec in ({"script": "echo hi"}, {"command": ["echo", "hi"]}):
        work = planned(shell=shell, **spec)
        assert work.argv == [*start, SCRIPT]
        assert work.files == (WorkFile("script", b"echo hi", 0o700, own=True),)
    assert planned(script="echo $1", shell=shell, args=["a b"]).argv == [*start, SCRIPT, "a b"]
    assert "script" in OWN_FILES


def test_files_of_the_user_go_into_the_work_directory() -> None:
    file = {"path": "deep/run.sh", "content": b64encode(b"#!").decode(), "mode": 0o755}
    assert planned(command=["true"], files=[file]).files == (WorkFile("deep/run.sh", b"#!", 0o755),)
