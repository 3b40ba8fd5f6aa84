"""What one job does, end to end: exit codes, streams, environment, files, limits, cancel."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import sys
from pathlib import Path

import pytest

from remote_protocol.spec import JobFile
from remote_protocol.states import EndReason, JobState
from tests.support.stack import Stack, until

HANG = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.mark.parametrize("code", [0, 1, 78, 255])
def test_run_ends_with_the_exit_code_of_the_job(shared: Stack, code: int) -> None:
    done = shared.ctl("run", "--shell", "sh", "--", f"exit {code}")
    assert done.returncode == code, done.stderr


def test_stdout_and_stderr_stay_apart(shared: Stack) -> None:
    done = shared.ctl("run", "--shell", "sh", "--", "echo out; echo err >&2; printf end")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\nend", b"err\n")


def test_output_is_seen_while_the_job_runs(shared: Stack) -> None:
    script = 'echo first; while [ ! -e "$GO" ]; do sleep 0.02; done; echo second'
    go = shared.root / "go-live"
    process = shared.ctl_start("run", "--env", f"GO={go}", "--shell", "sh", "--", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    go.touch()
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == (b"second\n", b"", 0)


def test_lines_come_in_order(shared: Stack) -> None:
    program = "import sys\nfor n in range(20000): print(n)"
    done = shared.ctl("run", "--", sys.executable, "-c", program)
    assert done.stdout == b"".join(b"%d\n" % n for n in range(20000))


def test_binary_output_without_newline_is_exact(shared: Stack) -> None:
    data = bytes(range(256)) * 20_000 + b"\n\n\r\n\0" + os.urandom(300_001)
    source = shared.root / "binary"
    source.write_bytes(data)
    done = shared.ctl("run", "--", "cat", source)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    job = shared.client.jobs(limit=1).items[0]
    assert hashlib.sha256(shared.client.log(job.id)).digest() == hashlib.sha256(data).digest()
    assert shared.client.job(job.id).attempts[-1].log_complete


def test_an_unknown_program_is_named(shared: Stack) -> None:
    job = shared.run(command=["no-such-program-here"])
    assert (job.state, job.end_reason, job.exit_code) == (
        JobState.FAILED,
        EndReason.SPAWN_ERROR,
        127,
    )
    assert "no-such-program-here" in (job.end_detail or "")
    done = shared.ctl("run", "--", "no-such-program-here")
    assert done.returncode == 125
    assert b"no-such-program-here" in done.stderr


def test_a_job_gives_outputs_back(shared: Stack) -> None:
    text = (
        'echo version=1.2.3 >> "$REMOTE_OUTPUTS"; echo nonsense >> "$REMOTE_OUTPUTS";'
        'printf "notes<<EOF\\none\\ntwo\\nEOF\\n" >> "$REMOTE_OUTPUTS"; exit 3'
    )
    job = shared.run(text)
    assert (job.exit_code, job.outputs) == (3, {"version": "1.2.3", "notes": "one\ntwo"})
    assert "line 2 is neither key=value" in (job.outputs_warning or "")
    assert shared.client.outputs(job.id).outputs == job.outputs
    done = shared.ctl("job", "show", job.id, "--output-of", "notes")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"one\ntwo\n", b"")
    missing = shared.ctl("job", "show", job.id, "--output-of", "x")
    assert (missing.returncode, missing.stdout) == (1, b"")
    assert b"it has version, notes" in missing.stderr
    shown = shared.ctl("job", "show", job.id).stdout
    assert b"OUTPUTS\nversion  1.2.3\nnotes    one\\ntwo\n" in shown
    assert b"line 2 is neither" in shown


def test_a_link_in_the_place_of_outputs_gives_nothing_away(shared: Stack) -> None:
    secret = shared.root / "private"
    secret.write_text("password=hunter2\n")
    job = shared.run(f'ln -s {secret} "$REMOTE_OUTPUTS"')
    assert (job.state, job.outputs) == (JobState.SUCCEEDED, {})
    assert "it is a symbolic link" in (job.outputs_warning or "")


def test_a_signal_becomes_128_and_its_number(shared: Stack) -> None:
    job = shared.run("kill -KILL $$")
    assert (job.state, job.end_reason, job.exit_code) == (
        JobState.FAILED,
        EndReason.SIGNAL,
        128 + signal.SIGKILL,
    )


def test_environment_and_files_reach_the_job(shared: Stack, tmp_path: Path) -> None:
    local = tmp_path / "input.txt"
    local.write_bytes(b"from the file\n")
    script = 'cat conf/in.txt; echo "$WHO $REMOTE_QUEUE $REMOTE_AGENT $REMOTE_ATTEMPT"; pwd'
    done = shared.ctl(
        "run", "--file", f"{local}:conf/in.txt", "--env", "WHO=me", "--shell", "sh", "--", script
    )
    lines = done.stdout.decode().splitlines()
    assert lines[:2] == ["from the file", "me default alpha 1"], done.stderr
    assert lines[2].startswith(str(shared.root / "agent-alpha"))


def test_the_agents_secrets_do_not_reach_the_job(shared: Stack) -> None:
    job = shared.run(command=["env"])
    text = shared.client.log(job.id).decode()
    assert "rat_" not in text and "rrt_" not in text and "REMOTE_AGENT_TOKEN" not in text
    assert f"REMOTE_JOB_ID={job.id}" in text


def test_cwd(shared: Stack) -> None:
    assert shared.ctl("run", "--cwd", "/usr", "--", "pwd").stdout == b"/usr\n"
    job = shared.run(command=["pwd"], cwd="/no/such/dir")
    assert job.end_reason is EndReason.SPAWN_ERROR
    assert "/no/such/dir" in (job.end_detail or "")


def test_an_executable_file_runs(shared: Stack) -> None:
    content = base64.b64encode(b"#!/bin/sh\necho ran $1\n").decode()
    job = shared.run(
        command=["./tool.sh", "it"],
        files=[JobFile(path="tool.sh", content=content, mode=0o700)],
    )
    assert shared.client.log(job.id) == b"ran it\n"


def test_timeout_kills_the_whole_tree(shared: Stack) -> None:
    pid_file = shared.root / "grandchild"
    script = f"sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & echo $! > {pid_file}; wait"
    done = shared.ctl(
        "run", "--timeout", "2s", "--grace-period", "300ms", "--shell", "sh", "--", script
    )
    assert done.returncode == 124
    assert b"timeout" in done.stderr.lower() or b"timed out" in done.stderr.lower(), done.stderr
    pid = int(pid_file.read_text())
    until(lambda: not Path(f"/proc/{pid}").exists(), "the grandchild is gone")


def test_cancel_is_polite_first(shared: Stack) -> None:
    job = shared.submit("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    shared.prints(job.id, b"ready\n")
    assert shared.ctl("job", "cancel", job.id, "--reason", "enough").returncode == 0
    ended = shared.client.wait(job.id, 30)
    assert (ended.state, ended.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED)
    # The signal goes to the whole process group; the shell says on stderr that its sleep died.
    assert shared.client.log(job.id, stream="stdout") == b"ready\nbye\n"
    assert "enough" in (ended.end_detail or "")


def test_cancel_kills_after_the_grace_period(shared: Stack) -> None:
    job = shared.submit(HANG, grace_period=0.5)
    shared.prints(job.id, b"ready\n")
    shared.client.cancel(job.id)
    ended = shared.client.wait(job.id, 30)
    assert ended.state is JobState.CANCELLED
    said = [entry.what for entry in shared.client.timeline(job.id)]
    assert "interrupt" in said and "kill" in said, said


def test_ctrl_c_cancels(shared: Stack) -> None:
    process = shared.ctl_start(
        "run", "--name", "ctrl-c", "--shell", "sh", "--", "echo up; exec sleep 60"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    job = shared.client.jobs(limit=1).items[0]
    assert (job.name, job.state) == ("ctrl-c", JobState.CANCELLED)


def test_a_memory_limit_kills_only_its_job(shared: Stack) -> None:
    sibling = shared.submit("echo ready; exec sleep 60")
    shared.prints(sibling.id, b"ready\n")
    program = "import time\nhog = bytearray(200_000_000)\ntime.sleep(60)"
    done = shared.ctl("run", "--memory", "64MiB", "--", sys.executable, "-c", program)
    assert done.returncode == 137, done.stderr
    assert b"memory limit" in done.stderr
    job = next(item for item in shared.client.jobs(limit=5).items if item.id != sibling.id)
    assert (job.end_reason, job.exit_code) == (EndReason.MEMORY_LIMIT, 137)
    assert shared.client.job(sibling.id).state is JobState.RUNNING
    shared.client.cancel(sibling.id)
    shared.client.wait(sibling.id, 30)


def test_retries_are_made_by_policy(shared: Stack) -> None:
    script = "echo attempt $REMOTE_ATTEMPT; [ $REMOTE_ATTEMPT = 3 ]"
    job = shared.run(script, max_attempts=5, retry_on=["exit"], retry_backoff=0.05)
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 3)
    assert [attempt.exit_code for attempt in job.attempts] == [1, 1, 0]
    assert shared.client.log(job.id, attempt=1) == b"attempt 1\n"
    assert shared.client.log(job.id) == b"attempt 3\n"


def test_a_background_process_does_not_hold_the_job(shared: Stack) -> None:
    # Its output stays open for twice as long as anybody waits here.
    job = shared.run("sleep 60 & echo done", deadline=30)
    assert (job.state, shared.client.log(job.id)) == (JobState.SUCCEEDED, b"done\n")


def test_the_same_key_submits_once(shared: Stack) -> None:
    first = shared.submit("true", idempotency_key="once")
    again = shared.submit("true", idempotency_key="once")
    assert first.id == again.id
    shared.client.wait(first.id, 30)


def test_retry_makes_a_new_job(shared: Stack) -> None:
    job = shared.run("exit 4", name="again")
    done = shared.ctl("job", "retry", job.id, check=True)
    other = done.stdout.decode().strip()
    assert other != job.id
    assert shared.ctl("job", "wait", other).returncode == 4


def test_the_timeline_tells_the_story(shared: Stack) -> None:
    job = shared.run("echo hi")
    entries = shared.client.timeline(job.id)
    states = [entry.state for entry in entries if entry.state is not None]
    assert states == [JobState.QUEUED, JobState.ASSIGNED, JobState.RUNNING, JobState.SUCCEEDED]
    assert [entry.seq for entry in entries] == sorted(entry.seq for entry in entries)
    assert job.usage is not None and job.usage.max_rss > 0


def test_logs_can_be_read_again(shared: Stack) -> None:
    job = shared.run("echo one; echo two >&2")
    assert shared.ctl("job", "logs", "-f", job.id).stdout == b"one\n"
    stamped = shared.ctl("job", "logs", "--timestamps", job.id[:16]).stdout.decode().splitlines()
    # Which of two pipes is read first, nobody promises.
    assert {line.split(" ", 1)[1] for line in stamped} == {"stdout one", "stderr two"}
    assert shared.client.log(job.id, stream="stderr") == b"two\n"
