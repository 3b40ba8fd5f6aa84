"""`remotectl run`: what is submitted."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import started
from tests.support.fake_api import ID, Answer, FakeApi, cri_log, job_view, problem


def test_every_option_reaches_the_server(
    api: FakeApi, ctl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    monkeypatch.setenv("OURS", "from here")
    tool = tmp_path / "tool.sh"
    tool.write_bytes(b"#!/bin/sh\n")
    tool.chmod(0o755)
    line = (
        "--queue berlin --name build -e A=1 -e OURS --label gpu=true --timeout 1h30m "
        "--annotation dag=a=b "
        "--memory 512MiB --weight 0.5 --priority 3 --max-attempts 2 --retry-on exit "
        "--expires-in 5m --cwd /srv --grace-period 3s --detach"
    )
    options = shlex.split(line)
    assert ctl("run", *options, "--file", f"{tool}:bin/tool", "--", "make", "-j", "2") == 0
    file = {"path": "bin/tool", "content": base64.b64encode(b"#!/bin/sh\n").decode(), "mode": 0o700}
    assert api.calls[0].body == {
        "queue": "berlin", "name": "build", "command": ["make", "-j", "2"], "cwd": "/srv",
        "env": {"A": "1", "OURS": "from here"}, "labels": {"gpu": "true"}, "timeout": 5400,
        "annotations": {"dag": "a=b"},
        "memory_limit": 512 * 1024**2, "weight": 0.5, "priority": 3, "max_attempts": 2,
        "retry_on": ["exit"], "expires_in": 300, "grace_period": 3, "files": [file],
    }  # fmt: skip


GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (GIVEN, GIVEN),
        (f"cc{GIVEN[2:]}-what-comes-later", f"cc{GIVEN[2:]}-what-comes-later"),
        (None, None),
        ("", None),
        ("hello", None),
        (GIVEN.upper(), None),
        (f"{GIVEN}\r\nX-Other: 1", None),
        (f"{GIVEN}-{'x' * 1000}", None),
        (f"{GIVEN}-ä", None),
    ],
)
def test_the_trace_of_the_environment_is_continued(
    api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch, said: str | None, sent: str | None
) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    monkeypatch.delenv("TRACEPARENT", raising=False)
    if said is not None:
        monkeypatch.setenv("TRACEPARENT", said)
    assert ctl("run", "--detach", "--", "true") == 0
    assert api.calls[0].headers.get("traceparent") == sent
    assert "X-Other" not in api.calls[0].headers


def test_detach_prints_the_id_or_the_job(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    assert ctl("run", "--detach", "--", "true") == 0
    assert capsys.readouterr().out == ID + "\n"
    assert ctl("run", "--detach", "-o", "json", "--", "true") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "queued"


def test_output_and_exit_code_are_the_jobs(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    running = job_view(state="running", attempt=1)
    ended = job_view(state="failed", attempt=1, exit_code=3, end_reason="exit", end_detail="why")
    api.on("GET", f"/jobs/{ID}", running, ended)
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"hello\n")))
    assert ctl("run", "--", "false") == 3
    out, err = capfdbinary.readouterr()
    assert out == b"hello\n"
    assert b"failed" in err and b"why" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--timeout", "soon"), "timeout"),
        (("--memory", "lots"), "--memory"),
        (("--weight", "2"), "weight"),
        (("--label", "gpu"), "KEY=VALUE"),
        (("--env", "SURELY_NOT_SET"), "no such variable"),
        (("--file", "/no/such/file"), "No such file"),
        (("--retry-on", "boredom"), "--retry-on"),
        (("--private-input", "/no/such/file"), "--private-input /no/such/file: No such file"),
        (("--private-input", "/dev/null"), "is empty; leave it out"),
        (("--private-input", "x", "--stdin"), "a job has one input"),
        (("--private-input", "x", "--each"), "a group has no input"),
        (("--private-input", "-", "--script", "-"), "both read standard input"),
        (("--private-input", "-", "--spec", "-"), "both read standard input"),
    ],
)
def test_bad_options_are_named_before_anything_is_sent(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    assert ctl("run", *options, "--", "true") == 2
    assert says in capsys.readouterr().err
    assert api.calls == []


def test_what_only_the_server_knows_has_the_name_of_the_option(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = [
        {"field": "memory_limit", "message": "give at least 1 MiB"},
        {"field": "files.0.path", "message": "stays inside"},
        {"field": "env", "message": "REMOTE_JOB_ID is set by the agent"},
        {"field": "max_attempts", "message": "too many"},
    ]
    api.on("POST", "/jobs", problem(422, "validation", "no", errors=faults))
    assert ctl("run", "--env", "REMOTE_JOB_ID=1", "--", "true") == 2
    assert capsys.readouterr().err.splitlines() == [
        "remotectl: The job is not valid:",
        "  --memory: give at least 1 MiB",
        "  --file: stays inside",
        "  --env: REMOTE_JOB_ID is set by the agent",
        "  --max-attempts: too many",
    ]


def test_an_unknown_queue(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = problem(422, "unknown_queue", "There is no queue 'x'; there are: default")
    api.on("POST", "/jobs", refusal)
    assert ctl("run", "--queue", "x", "--", "true") == 255
    assert "there are: default" in capsys.readouterr().err


def endless(api: FakeApi) -> None:
    """A job that prints more than any pipe holds and goes on."""
    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", job_view(state="running", attempt=1))
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"x" * 99 + b"\n")) * 20_000)
    api.on("POST", f"/jobs/{ID}/cancel", job_view(state="running", attempt=1))


@pytest.mark.parametrize(
    ("options", "says", "cancels"),
    [
        ((), f"nobody reads its output any more; {ID} is left to itself; read on with: "
             f"remotectl job logs -f {ID}; end it with: remotectl job cancel {ID}", 0),
        (("--cancel-on-broken-pipe",), f"nobody reads its output any more: cancelling {ID}", 1),
    ],
)  # fmt: skip
def test_a_reader_that_leaves(
    api: FakeApi, options: tuple[str, ...], says: str, cancels: int
) -> None:
    endless(api)
    with started(api, "yes", options=options) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read().decode() == f"remotectl: {says}\n"
    assert process.returncode == 141
    assert len(api.said("POST", f"/jobs/{ID}/cancel")) == cancels


def test_a_reader_of_both_streams_that_leaves(api: FakeApi) -> None:
    endless(api)
    with started(api, "yes", stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
    assert process.returncode == 141


def test_a_full_disk_says_that_the_job_goes_on(api: FakeApi) -> None:
    endless(api)
    with open("/dev/full", "wb") as full, started(api, "yes", stdout=full) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 255
    lines = err.decode().splitlines()
    assert lines[0] == (
        f"remotectl: {ID} is left to itself; read on with: remotectl job logs -f {ID}; "
        f"end it with: remotectl job cancel {ID}"
    )
    assert "No space left on device" in lines[1]


def test_options_after_the_command_are_its_own(api: FakeApi, ctl: Any) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    assert ctl("run", "--detach", "ls", "-l", "--queue", "--", "x") == 0
    assert api.calls[0].body == {"command": ["ls", "-l", "--queue", "--", "x"]}
