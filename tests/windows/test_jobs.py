"""Real jobs on a real agent in Wine."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from remote_protocol.states import EndReason, JobState
from tests.support.stack import until
from tests.windows.host import SLOW, WAITS, WindowsAgent, WineStack, alive, make_folder, terminate
from tests.windows.wine import windows


@pytest.fixture(scope="module")
def stack() -> Iterator[WineStack]:
    with WineStack(make_folder("jobs")) as stack:
        stack.start_server()
        yield stack


@pytest.fixture(scope="module")
def agent(stack: WineStack) -> WindowsAgent:
    return stack.windows_agent("win")


pytestmark = [pytest.mark.usefixtures("agent"), pytest.mark.timeout(400)]


def test_the_output_is_exact_and_so_is_the_exit_code(stack: WineStack) -> None:
    code = (
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000); "
        "sys.stderr.write('oh\\n'); sys.exit(7)"
    )
    job = stack.client.wait(stack.python(code).id, SLOW)
    assert (job.state, job.exit_code, job.end_reason) == (JobState.FAILED, 7, EndReason.EXIT), job
    records = list(stack.client.follow_log(job.id))
    assert b"".join(r.data for r in records if r.stream == "stdout") == bytes(range(256)) * 1000
    assert b"".join(r.data for r in records if r.stream == "stderr") == b"oh\r\n"


def test_output_is_seen_while_the_job_runs(stack: WineStack) -> None:
    job = stack.python(
        "import sys; print('early', flush=True); import time; time.sleep(300)", "live"
    )
    stack.prints(job.id, b"early", SLOW)
    assert stack.client.job(job.id).state is JobState.RUNNING
    stack.client.cancel(job.id)
    stack.client.wait(job.id, SLOW)


HANDLER = (
    "import ctypes, os, subprocess, sys, time\n"
    "kind = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint); kept = []\n"
    "def handle(what):\n"
    "    kept.append(kind(what)); ctypes.windll.kernel32.SetConsoleCtrlHandler(kept[-1], 1)\n"
)
"""Handles what the console brings. Wine ends a process at Ctrl-Break, whatever it handles:
therefore these jobs ask for SIGINT, which is Ctrl-C."""
REST = "print('up', flush=True)\nwhile True: time.sleep(0.05)"


def test_ctrl_c_lets_a_job_end_by_itself(stack: WineStack) -> None:
    code = HANDLER + "handle(lambda _: (print('cleaned up', flush=True), os._exit(9)))\n" + REST
    job = stack.python(code, grace_period=30, stop_signal="SIGINT")
    stack.prints(job.id, b"up", SLOW)
    stack.client.cancel(job.id)
    ended = stack.client.wait(job.id, SLOW)
    assert ended.state is JobState.CANCELLED and ended.exit_code == 9, ended
    assert b"cleaned up" in stack.client.log(job.id)
    assert "exited with code 9 after SIGINT" in str(ended.end_detail)


STUBBORN = (
    HANDLER
    + "handle(lambda _: print('no', flush=True) or 1)\n"
    + f"child = {HANDLER + 'handle(lambda _: 1); time.sleep(600)'!r}\n"
    + "if sys.argv[2] == 'tree': subprocess.Popen([sys.executable, '-c', child, sys.argv[1]])\n"
    + REST
)


def test_what_ignores_ctrl_c_is_killed_with_its_whole_tree(stack: WineStack) -> None:
    job = stack.python(STUBBORN, "tree-one", "tree", grace_period=1, stop_signal="SIGINT")
    stack.prints(job.id, b"up", SLOW)
    until(lambda: len(alive("tree-one")) >= 2, "parent and child run", SLOW)
    stack.client.cancel(job.id)
    ended = stack.client.wait(job.id, SLOW)
    assert ended.state is JobState.CANCELLED and ended.exit_code == 137, ended
    until(lambda: not alive("tree-one"), "nothing of the tree is left", SLOW)


def test_a_timeout_ends_a_job(stack: WineStack) -> None:
    job = stack.python(
        STUBBORN, "too-long", "alone", timeout=3, grace_period=0.5, stop_signal="SIGINT"
    )
    ended = stack.client.wait(job.id, SLOW)
    assert ended.end_reason is EndReason.TIMEOUT and "timeout of 3s" in str(ended.end_detail)


def test_what_is_left_behind_is_swept_unless_it_is_to_be_kept(stack: WineStack) -> None:
    code = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)', sys.argv[1]]); print('done')"
    )
    swept = stack.client.wait(stack.python(code, "swept-child").id, SLOW)
    assert swept.exit_code == 0 and not alive("swept-child")
    kept = stack.client.wait(stack.python(code, "kept-child", keep_processes=True).id, SLOW)
    assert kept.exit_code == 0
    assert alive("kept-child"), "it wished to leave it"


def test_a_program_that_is_not_there(stack: WineStack) -> None:
    ended = stack.client.wait(stack.submit(command=["no-such-program"]).id, SLOW)
    assert ended.end_reason is EndReason.SPAWN_ERROR and ended.exit_code == 127
    assert "in no directory of the job's PATH" in str(ended.end_detail)


def test_scripts_files_environment_and_directory(stack: WineStack) -> None:
    content = base64.b64encode(b"from a file\r\n").decode()
    job = stack.submit(
        shell="cmd",
        script=(
            "@echo off\r\ntype sub\\data.txt\r\necho %GREETING% %REMOTE_JOB_ID%\r\ncd\r\nexit /b 3"
        ),
        env={"Greeting": "hello"},
        files=[{"path": "sub/data.txt", "content": content}],
    )
    ended = stack.client.wait(job.id, SLOW)
    lines = stack.client.log(job.id).split(b"\r\n")
    assert ended.exit_code == 3, (ended, lines)
    assert lines[:2] == [b"from a file", f"hello {job.id}".encode()]
    assert lines[2].lower().endswith(b"\\work")


def test_a_file_that_windows_would_not_keep_is_refused_in_words(stack: WineStack) -> None:
    job = stack.submit(command=["cmd"], files=[{"path": "nul.txt", "content": ""}])
    ended = stack.client.wait(job.id, SLOW)
    assert ended.end_reason is EndReason.SPAWN_ERROR and "device" in str(ended.end_detail)


def test_the_memory_limit(stack: WineStack) -> None:
    code = "held = []\nimport time\nwhile True: held.append(b'x' * 10_000_000); time.sleep(0.02)"
    job = stack.python(code, memory_limit=150_000_000)
    ended = stack.client.wait(job.id, SLOW)
    assert ended.end_reason is EndReason.MEMORY_LIMIT and ended.exit_code == 137, ended


def test_the_command_line_reaches_the_running_agent(stack: WineStack, agent: WindowsAgent) -> None:
    found = agent.status()
    assert found["running"] and found["name"] == "win"
    agent.cli("pause", "--comment", "by hand")
    until(lambda: not stack.client.agent("win").condition.accepting, "it is paused", SLOW)
    agent.cli("resume")
    until(lambda: stack.client.agent("win").condition.accepting, "it is resumed", SLOW)


def test_jobs_outlive_a_killed_agent(stack: WineStack, agent: WindowsAgent) -> None:
    go = stack.root / "go-on"
    job = stack.python(WAITS, windows(go))
    stack.prints(job.id, b"line 3", SLOW)
    agent.kill()
    stack.start_windows(agent)
    go.touch()
    ended = stack.client.wait(job.id, SLOW)
    assert ended.exit_code == 0 and len(ended.attempts) == 1, ended
    lines = stack.client.log(job.id).decode().split("\r\n")
    count = int(lines[-2].split()[1])
    assert lines == [*(f"line {n}" for n in range(count + 1)), f"last {count}", ""]


def test_a_killed_shim_takes_its_job_with_it(stack: WineStack, agent: WindowsAgent) -> None:
    job = stack.python(STUBBORN, "orphan-one", "tree", max_attempts=1)
    stack.prints(job.id, b"up", SLOW)
    until(lambda: len(alive("orphan-one")) >= 2, "parent and child run", SLOW)
    started = json.loads((agent.state_dir / f"attempts/{job.id}.1/started.json").read_text())
    terminate(started["shim_pid"])
    ended = stack.client.wait(job.id, SLOW)
    assert ended.end_reason is EndReason.LOST and "the shim died" in str(ended.end_detail), ended
    assert not alive("orphan-one")


def test_a_drained_agent_finishes_and_exits(stack: WineStack, agent: WindowsAgent) -> None:
    go = stack.root / "finish"
    job = stack.python(WAITS, windows(go))
    stack.prints(job.id, b"line 0", SLOW)
    agent.cli("drain")
    go.touch()
    assert agent.wait(SLOW) == 0
    assert stack.client.wait(job.id, SLOW).exit_code == 0


def test_ctrl_c_stops_the_agent_and_its_jobs_run_on(stack: WineStack) -> None:
    now, go = stack.root / "stop-now", stack.root / "go-on-too"
    agent = stack.windows_agent("two", ("tests.windows.ctrl_c", windows(now)))
    job = stack.python(WAITS, windows(go), labels={"named": "two"})
    stack.prints(job.id, b"line 0", SLOW)
    now.touch()
    until(lambda: "the agent ended with 0" in agent.words(), "it leaves", SLOW)
    assert agent.wait(SLOW) == 0
    agent.command = agent.plain
    stack.start_windows(agent)
    go.touch()
    ended = stack.client.wait(job.id, SLOW)
    assert ended.exit_code == 0 and len(ended.attempts) == 1, ended
