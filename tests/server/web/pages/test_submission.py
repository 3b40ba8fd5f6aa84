"""The form of a job and the specification that it stands for."""

from __future__ import annotations

from typing import Any

import pytest

from remote_protocol.spec import CommandSpec, JobSpec
from remote_server.web.pages.submission import FaultyForm, JobForm, empty, filled, kept, spec_of
from tests.support.stored import spec


def made(old: JobSpec | None = None, **given: str) -> CommandSpec:
    found = spec_of(JobForm(**given), old)
    assert isinstance(found, CommandSpec)
    return found


def faults(**given: str) -> dict[str, str]:
    with pytest.raises(FaultyForm) as caught:
        spec_of(JobForm(**given))
    return caught.value.faults


def test_a_script_is_for_a_shell() -> None:
    job = made(run="echo a\r\necho b", shell="bash")
    assert (job.shell, job.script, job.command) == ("bash", "echo a\necho b", [])
    assert job == CommandSpec(shell="bash", script="echo a\necho b")


def test_a_program_has_one_argument_a_line() -> None:
    job = made(run="grep\r\na b\r\n\r\nfile\r\n", how="program", shell="sh")
    assert (job.command, job.shell) == (["grep", "a b", "", "file"], None)


def test_everything_that_the_form_has_arrives() -> None:
    job = made(
        run="true", how="program", queue="gpu", agent="a", name="nightly", cwd="/srv",
        timeout="1h", grace_period="5s", memory_limit="1GiB", weight="0.5", priority="7",
        max_attempts="3", retry_exit="on", retry_lost="on", expires_in="1d", merge_output="on",
        labels="gpu=h100\n\ncuda=12", env="A=1\r\nB=x=y ",
    )  # fmt: skip
    assert job == CommandSpec.model_validate(
        {
            "command": ["true"], "queue": "gpu", "agent": "a", "name": "nightly", "cwd": "/srv",
            "timeout": 3600, "grace_period": 5, "memory_limit": 1 << 30, "weight": 0.5,
            "priority": 7, "max_attempts": 3, "retry_on": ["lost", "exit"], "expires_in": 86400,
            "merge_output": True, "labels": {"gpu": "h100", "cuda": "12"},
            "env": {"A": "1", "B": "x=y "},
        }
    )  # fmt: skip


def test_all_faults_are_named_beside_their_fields() -> None:
    found = faults(
        run=" ", shell="", timeout="soon", memory_limit="1", weight="2", priority="high",
        queue="a b", env="A\nB=1", labels="a=1\na=2", max_attempts="0",
    )  # fmt: skip
    assert found["run"] == "say what to run"
    assert found["env"] == "line 1 has no =; write NAME=VALUE"
    assert found["labels"] == "line 2 names a again"
    assert set(found) == {
        *("run", "shell", "timeout", "memory_limit", "weight", "priority", "queue", "env"),
        *("labels", "max_attempts"),
    }


def test_reasons_count_with_several_attempts_only() -> None:
    assert made(run="x", shell="sh", retry_exit="on") == made(run="x", shell="sh")


FULL: dict[str, Any] = {
    "command": ["sh", "-c", "echo $A"], "queue": "gpu", "name": "n", "timeout": 90.5,
    "memory_limit": 3 << 20, "weight": 0.25, "priority": -2, "max_attempts": 4,
    "retry_on": ["exit", "rejected"], "labels": {"a": "b"}, "env": {"A": "1", "KEY": "x\ny"},
    "files": [{"path": "f", "content": "YQ=="}], "on_disconnect": {"lost_after": 60},
    "stop_signal": "SIGINT", "grace_period": 3, "expires_in": 60, "cwd": "/x",
}  # fmt: skip


@pytest.mark.parametrize(
    "old",
    [
        spec(),
        spec(**FULL),
        spec(command=[], shell="sh", script="a\nb\n", args=["1", "2"]),
        spec(command=["a\nb", "c"]),
        spec(command=["a", ""]),
        spec(command=[], shell="sh", script="x" * 100_000),
        spec(env={f"V{n}": "x" * 1000 for n in range(60)}),
    ],
)
def test_a_form_that_nobody_changes_stands_for_the_same_job(old: JobSpec) -> None:
    given = {name: text for name, text in filled(old, "J").items() if text}
    assert spec_of(JobForm(**given), old) == old


def test_a_job_of_a_shells_words_becomes_a_script() -> None:
    old = spec(command=["echo", "$HOME"], shell="bash")
    given = {name: text for name, text in filled(old, "J").items() if text}
    again = spec_of(JobForm(**given), old)
    assert isinstance(again, CommandSpec)
    assert again.script_text == "echo $HOME"


def test_what_the_form_does_not_show_is_told() -> None:
    said = kept(spec(**FULL))
    assert said == [
        "the variables KEY, which no form can show", "1 file", "on_disconnect", "stop_signal",
    ]  # fmt: skip
    assert kept(spec()) == []
    assert "too long for a form" in kept(spec(command=["a\nb"]))[0]


def test_what_belongs_to_the_old_job_alone_is_not_repeated() -> None:
    old = spec(stdin=True, idempotency_key="k")
    again = spec_of(JobForm(**{k: v for k, v in filled(old, "J").items() if v}), old)
    assert (again.stdin, again.idempotency_key) == (False, None)


def test_a_new_form_begins_with_a_shell() -> None:
    assert empty("gpu") == {"how": "shell", "shell": "sh", "queue": "gpu", "retry_lost": "on"}
