"""Calls of an engine's client: what is kept of them, and what they may know."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from remote_agent.processes import SpawnFailed
from remote_agent.shim.workload.client import (
    Call,
    ContainerEnvironment,
    again,
    call_now,
    close_all,
)

ENV = {"PATH": os.environ["PATH"]}


def ended(call: Call) -> int:
    select.select([call.waitable()], [], [], 60)
    status = call.reap()
    assert status is not None
    return status.code


def test_what_a_client_says_is_kept_to_its_end() -> None:
    call = Call(["sh", "-c", "yes no | head -c 100000; echo end >&2; exit 3"], ENV)
    assert ended(call) == 3
    said = call.said()
    assert said.endswith("end\n") and len(said) == 16 * 1024
    call.close()


def test_a_client_that_is_not_there() -> None:
    with pytest.raises(SpawnFailed, match="install it again, or name another one") as caught:
        Call(["/nowhere/docker"], ENV)
    assert caught.value.exit_code == 126


def test_a_command_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"test -e {mark} && exit 0; touch {mark}; exit 1"
    call = Call(again(["sh", "-c", script]), ENV)
    assert ended(call) == 0
    call.close()


def test_a_call_is_waited_for_no_longer_than_that() -> None:
    assert call_now(["sh", "-c", "echo hi"], ENV, 60) == (True, "hi\n")
    assert call_now(["sh", "-c", "echo no >&2; exit 1"], ENV, 60) == (False, "no\n")
    done, said = call_now(["sleep", "60"], ENV, 0.2)
    assert (done, said) == (False, "the engine has not answered within 0.2 s")
    done, said = call_now(["/nowhere/docker"], ENV, 60)
    assert not done and "No such file" in said


def test_variables_go_through_memory() -> None:
    given = ContainerEnvironment({"A": "b c=d #e", "L": "one\ntwo", "R": "x\r", "PATH": "/opt/bin"})
    assert given.words == ["--env-file=/dev/stdin", "--env=L", "--env=R"]
    assert given.passed == {"L": "one\ntwo", "R": "x\r"}
    script = "import sys; print(open('/dev/stdin').read(), end='')"
    file = given.file()
    call = Call([sys.executable, "-c", script], ENV, stdin=file)
    os.close(file)
    assert ended(call) == 0
    assert call.said() == "A=b c=d #e\nPATH=/opt/bin\n"
    call.close()


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "PATH", "HOME", "DOCKER_HOST", "docker_config", "HTTPS_PROXY", "GODEBUG"],
)
def test_what_the_client_would_obey_is_no_variable_of_several_lines(name: str) -> None:
    with pytest.raises(SpawnFailed, match=f"the variable {name} cannot be given"):
        ContainerEnvironment({name: "a\nb"})


def test_ends_that_are_one_are_closed_once() -> None:
    one, other = os.pipe()
    close_all([one, other, other, None])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(other)
