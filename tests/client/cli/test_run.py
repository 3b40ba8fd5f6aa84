"""`remotectl run`: what is submitted."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, Said, cri_log, job_view, problem


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
        "--memory 512MiB --weight 0.5 --priority 3 --max-attempts 2 --retry-on exit "
        "--expires-in 5m --cwd /srv --grace-period 3s --detach"
    )
    options = shlex.split(line)
    assert ctl("run", *options, "--file", f"{tool}:bin/tool", "--", "make", "-j", "2") == 0
    file = {"path": "bin/tool", "content": base64.b64encode(b"#!/bin/sh\n").decode(), "mode": 0o700}
    assert api.calls[0].body == {
        "queue": "berlin", "name": "build", "command": ["make", "-j", "2"], "cwd": "/srv",
        "env": {"A": "1", "OURS": "from here"}, "labels": {"gpu": "true"}, "timeout": 5400,
        "memory_limit": 512 * 1024**2, "weight": 0.5, "priority": 3, "max_attempts": 2,
        "retry_on": ["exit"], "expires_in": 300, "grace_period": 3, "files": [file],
    }  # fmt: skip


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
        (("--memory", "lots"), "memory_limit"),
        (("--weight", "2"), "weight"),
        (("--label", "gpu"), "KEY=VALUE"),
        (("--env", "SURELY_NOT_SET"), "no such variable"),
        (("--env", "REMOTE_JOB_ID=1"), "set by the agent"),
        (("--file", "/no/such/file"), "No such file"),
        (("--retry-on", "boredom"), "retry_on"),
    ],
)
def test_bad_options_are_named_before_anything_is_sent(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    assert ctl("run", *options, "--", "true") == 2
    assert says in capsys.readouterr().err
    assert api.calls == []


def test_an_unknown_queue(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = problem(422, "unknown_queue", "There is no queue 'x'; there are: default")
    api.on("POST", "/jobs", refusal)
    assert ctl("run", "--queue", "x", "--", "true") == 1
    assert "there are: default" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job_and_its_last_words_come(
    api: FakeApi, number: signal.Signals
) -> None:
    cancelled = threading.Event()

    def state(said: object) -> dict[str, Any]:
        if cancelled.is_set():
            return job_view(state="cancelled", attempt=1, end_reason="cancelled", exit_code=143)
        return job_view(state="running", attempt=1)

    def cancel(said: object) -> dict[str, Any]:
        cancelled.set()
        return job_view(state="running", attempt=1)

    def log(said: Said) -> Answer:
        if said.query["offset"] == "0":
            return Answer(cri_log(("stdout", b"begun\n")), breaks=True)
        assert cancelled.wait(20)
        return Answer(cri_log(("stderr", b"last words\n")))

    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", state)
    api.on("GET", f"/jobs/{ID}/log", log)
    api.on("POST", f"/jobs/{ID}/cancel", cancel)
    with started(api, "sleep", "60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    lines = err.decode().splitlines()
    assert lines[0].startswith(f"remotectl: cancelling {ID}; Ctrl-C again leaves at once")
    assert lines[1:] == ["last words", f"remotectl: {ID} (sleep 60) cancelled"]
    (said,) = api.said("POST", f"/jobs/{ID}/cancel")
    assert said.body == {"reason": "interrupted in remotectl run"}


def test_a_second_interrupt_leaves_at_once(api: FakeApi) -> None:
    asked, leave = threading.Event(), threading.Event()

    def log(said: Said) -> Answer:
        if said.query["offset"] != "0":
            leave.wait(20)
        return Answer(cri_log(("stdout", b"begun\n")), breaks=True)

    def cancel(said: object) -> dict[str, Any]:
        asked.set()
        leave.wait(20)
        return job_view()

    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", job_view(state="running", attempt=1))
    api.on("GET", f"/jobs/{ID}/log", log)
    api.on("POST", f"/jobs/{ID}/cancel", cancel)
    with started(api, "sleep", "60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    leave.set()


def started(api: FakeApi, *command: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    arguments = [sys.executable, "-m", "remote_client", "run", "--", *command]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
