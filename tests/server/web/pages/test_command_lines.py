"""Commands to paste."""

from __future__ import annotations

import shlex

import pytest

from remote_server.web.pages.command_lines import job_lines, run_line, wrapped
from tests.support.stored import spec


def words(text: str | None) -> list[str]:
    assert text is not None
    return shlex.split(text.replace("\\\n", " "))


def test_a_job_becomes_the_command_that_submits_it() -> None:
    job = spec(
        command=["sh", "-c", "echo $HOME; it's"],
        queue="gpu",
        name="a b",
        labels={"gpu": "h100"},
        annotations={"run": "7"},
        env={"TOKEN": "hush"},
        timeout="90s",
        memory_limit="512MiB",
        weight=0.25,
        priority=3,
        max_attempts=2,
        retry_on=["exit", "lost"],
        expires_in="1d",
        cwd="/srv",
        merge_output=True,
        secrets=["DB_PASSWORD", "KEY"],
        secret_files=["KEY"],
        mask=True,
    )
    text = run_line(job)
    assert words(text) == [
        *("remotectl", "run", "--detach", "--queue", "gpu", "--name", "a b"),
        *(
            "--label",
            "gpu=h100",
            "--annotation",
            "run=7",
            "--env",
            "TOKEN",
            "--secret",
            "DB_PASSWORD",
        ),
        *("--secret", "KEY:file", "--mask", "--timeout", "1m30s", "--memory", "512MiB"),
        *("--weight", "0.25", "--priority", "3", "--max-attempts", "2"),
        *("--retry-on", "exit", "--retry-on", "lost", "--expires-in", "1d", "--cwd", "/srv"),
        *("--merge-output", "--", "sh", "-c", "echo $HOME; it's"),
    ]
    assert "hush" not in (text or "")


def test_other_labels_can_be_asked_for() -> None:
    job = spec(labels={"gpu": "h100"})
    assert words(run_line(job, {"gpu": "a40"})) == [
        *("remotectl", "run", "--detach", "--queue", "default", "--label", "gpu=a40", "--", "true"),
    ]


def test_a_script_goes_to_its_shell_in_one_piece() -> None:
    script = "for i in 1 2; do\n  echo $i\ndone"
    job = spec(command=[], shell="bash", script=script)
    line = words(run_line(job, default_queue="default"))
    assert line[3:] == ["--shell", "bash", "--", script], "the default queue is not named"
    assert words(run_line(job))[3:5] == ["--queue", "default"]


@pytest.mark.parametrize(
    "fields",
    [{"stdin": True}, {"command": ["x" * 3000]}, {"files": [{"path": "a", "content": "YQ=="}]}],
)
def test_what_no_line_says_has_none(fields: dict[str, object]) -> None:
    assert run_line(spec(**fields)) is None


def test_long_commands_are_broken_where_a_shell_allows_it() -> None:
    text = wrapped(["remotectl run", "--name " + "x" * 40, "-- true"])
    assert text == "remotectl run \\\n  --name " + "x" * 40 + " \\\n  -- true"


def test_a_job_and_its_log() -> None:
    assert job_lines("J", 0) == "remotectl job show J"
    assert job_lines("J", 2) == "remotectl job show J\nremotectl job logs J --attempt 2"
