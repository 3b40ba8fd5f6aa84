"""Whether standard input goes to a job, and what is said when it cannot."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, cri_log, job_view, problem

INPUT = f"/jobs/{ID}/input"


@pytest.fixture
def job(api: FakeApi) -> FakeApi:
    """A job that takes any input and succeeds once it has all."""

    def shown(said: Any) -> Any:
        parts = [call for call in api.calls if call.path == INPUT]
        wants = "stdin" in api.calls[0].body
        done = not wants or any("end" in part.query for part in parts)
        return job_view(state="succeeded" if done else "running", attempt=1, exit_code=0)

    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("PATCH", INPUT, {"size": 0, "state": "open", "ttl": 600.0})
    api.on("GET", f"/jobs/{ID}", shown)
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"done\n")))
    return api


def run(api: FakeApi, *options: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    command = [sys.executable, "-m", "remote_client", "run", *options, "--", "cat"]
    return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False, **streams)


def sent(api: FakeApi) -> bytes | None:
    """The input that came; None when the job has none."""
    if "stdin" not in api.calls[0].body:
        assert not api.said("PATCH", INPUT)
        return None
    return b"".join(call.body or b"" for call in api.said("PATCH", INPUT))


def test_a_pipe_is_sent(job: FakeApi) -> None:
    done = run(job, input=b"hello\0\xff")
    assert (done.returncode, done.stdout) == (0, b"done\n"), done.stderr
    assert sent(job) == b"hello\0\xff"


def test_a_file_is_sent_from_where_it_stands(job: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"head\nrest\n")
    with (tmp_path / "data").open("rb") as file:
        os.lseek(file.fileno(), 5, os.SEEK_SET)
        assert run(job, stdin=file).returncode == 0
    assert sent(job) == b"rest\n"


def test_what_holds_nothing_is_not_sent(job: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file:
        assert run(job, stdin=file).returncode == 0
    assert sent(job) is None


def test_the_null_device_is_not_sent(job: FakeApi) -> None:
    assert run(job, stdin=subprocess.DEVNULL).returncode == 0
    assert sent(job) is None


def test_a_closed_one_is_not_sent(job: FakeApi) -> None:
    assert run(job, preexec_fn=lambda: os.close(0)).returncode == 0
    assert sent(job) is None
    done = run(job, "--stdin", preexec_fn=lambda: os.close(0))
    assert done.returncode == 2 and b"standard input is closed" in done.stderr


def test_a_terminal_is_sent_only_when_asked_for(job: FakeApi) -> None:
    ours, theirs = pty.openpty()
    try:
        assert run(job, stdin=theirs).returncode == 0
        assert sent(job) is None
        job.calls.clear()
        os.write(ours, b"typed\n\x04")
        assert run(job, "--stdin", stdin=theirs).returncode == 0
        assert sent(job) == b"typed\n"
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("option", ["-n", "--no-stdin"])
def test_it_can_be_left_out(job: FakeApi, option: str) -> None:
    assert run(job, option, input=b"x").returncode == 0
    assert sent(job) is None


def test_a_pipe_that_never_ends_keeps_nobody(api: FakeApi) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("PATCH", INPUT, {"size": 0, "state": "open", "ttl": 600.0})
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", attempt=1, exit_code=0))
    api.on("GET", f"/jobs/{ID}/log", cri_log())
    ours, theirs = os.pipe()
    try:
        assert run(api, stdin=ours).returncode == 0
    finally:
        os.close(ours)
        os.close(theirs)


def test_detaching_sends_a_file_first_and_no_pipe(job: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"all of it")
    with (tmp_path / "data").open("rb") as file:
        done = run(job, "--detach", stdin=file)
    assert (done.returncode, done.stdout) == (0, f"{ID}\n".encode())
    assert b"9 B of standard input are with the server" in done.stderr
    assert sent(job) == b"all of it"
    job.calls.clear()
    done = run(job, "--detach", input=b"x")
    assert done.returncode == 0 and b"not sent with --detach" in done.stderr
    assert sent(job) is None
    job.calls.clear()
    done = run(job, "--detach", "-n", input=b"x")
    assert done.stderr == b""
    job.calls.clear()
    assert run(job, "--detach", "--stdin", input=b"x").returncode == 0
    assert sent(job) == b"x"


def test_an_input_that_cannot_be_sent_cancels_the_job(api: FakeApi) -> None:
    def shown(said: Any) -> Any:
        cancelled = bool(api.said("POST", f"/jobs/{ID}/cancel"))
        state = "cancelled" if cancelled else "running"
        return job_view(state=state, attempt=1, end_detail="cancelled")

    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("PATCH", INPUT, problem(413, "body_too_large", "the input is larger than 1 GiB"))
    api.on("POST", f"/jobs/{ID}/cancel", Answer(job_view(), 202))
    api.on("GET", f"/jobs/{ID}", shown)
    api.on("GET", f"/jobs/{ID}/log", cri_log())
    done = run(api, input=b"x")
    assert done.returncode == 130
    assert b"larger than 1 GiB. Cancelling" in done.stderr
    assert "larger than 1 GiB" in api.said("POST", f"/jobs/{ID}/cancel")[0].body["reason"]


def test_contradictions_are_named(api: FakeApi) -> None:
    for options in (("--stdin", "-n"), ("--stdin", "--script", "-")):
        done = run(api, *options, input=b"echo hi")
        assert done.returncode == 2 and b"contradicts" in done.stderr
    assert not api.calls


def test_a_script_from_standard_input_is_no_input(job: FakeApi) -> None:
    assert run(job, "--script", "-", input=b"#!/bin/bash -e\necho hi\n").returncode == 0
    body = job.calls[0].body
    assert (body["script"], body["shell"]) == ("#!/bin/bash -e\necho hi\n", "/bin/bash -e")
    assert body["args"] == ["cat"] and "stdin" not in body and "command" not in body
    done = run(job, "--script", "-", preexec_fn=lambda: os.close(0))
    assert done.returncode == 2 and b"standard input is closed" in done.stderr
