"""kill -9 of each process around a job that was forked: it ends once, and its log is complete."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from remote_protocol.states import EndReason, JobState
from tests.support.stack import Stack, until
from tests.support.warm import Warm

HELD = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
middle = os.fork()
if not middle:
    time.sleep(600)
print(os.getpid(), os.getppid(), child.pid, middle, flush=True)
while not os.path.exists({gate!r}):
    time.sleep(0.01)
print("the end")
os.kill(middle, 9)
child.kill()
"""
"""Prints its process, its keeper, and two processes below it."""


@pytest.fixture
def warm(stack: Stack, tmp_path: Path) -> Warm:
    return Warm(stack, tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def gone(*pids: int) -> bool:
    return not any(lives(pid) for pid in pids)


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def held(warm: Warm, gate: Path, **fields: object) -> tuple[str, list[int]]:
    job = warm.submit(HELD.format(gate=str(gate)), **fields)
    pids = warm.prints(job)
    assert warm.importers() == [str(parent(pids[1]))], "it was forked"
    return job, pids


def test_jobs_outlive_their_interpreter(warm: Warm, gate: Path) -> None:
    jobs = [held(warm, gate) for _ in range(2)]
    os.kill(parent(jobs[0][1][1]), signal.SIGKILL)
    other, out, _ = warm.run("import os; print(os.getppid())")
    assert other.state is JobState.SUCCEEDED
    gate.touch()
    for job, pids in jobs:
        view, out, err = warm.ended(job)
        assert (view.state, err) == (JobState.SUCCEEDED, ""), view.end_detail
        assert out.endswith("the end\n") and gone(*pids)
        assert view.usage is not None and view.usage.max_rss


def test_a_job_dies_with_its_keeper_and_all_that_it_started(warm: Warm, gate: Path) -> None:
    (job, pids), (other, _) = held(warm, gate), held(warm, gate)
    os.kill(pids[1], signal.SIGKILL)
    view, out, _ = warm.ended(job)
    assert (view.state, view.end_reason, view.exit_code) == (
        JobState.FAILED, EndReason.SIGNAL, 137,
    )  # fmt: skip
    assert out == " ".join(map(str, pids)) + "\n"
    until(lambda: gone(*pids), "nothing of it is left")
    gate.touch()
    assert warm.ended(other)[0].state is JobState.SUCCEEDED


def test_a_job_dies_with_its_shim_and_is_lost(warm: Warm, gate: Path) -> None:
    (job, pids), (other, _) = held(warm, gate), held(warm, gate)
    os.kill(warm.shim(job), signal.SIGKILL)
    view, _, _ = warm.ended(job)
    assert view.end_reason is EndReason.LOST
    until(lambda: gone(*pids), "nothing of it is left")
    gate.touch()
    assert warm.ended(other)[0].state is JobState.SUCCEEDED


def test_the_death_of_a_shim_is_no_end_of_an_input(warm: Warm, tmp_path: Path) -> None:
    script = (
        "import os, sys\nprint(os.getpid(), flush=True)\nsys.stdin.read()\n"
        f"open({str(tmp_path / 'ended')!r}, 'w')\n"
    )
    with warm.stack.ctl_start(
        *("run", "--python", "--environment", "heavy", "--preload", "heavy", "--stdin", "--"),
        _file(tmp_path, script),
        stdin=-1,
    ) as run:
        (view,) = until(lambda: warm.stack.client.jobs().items, "it is there")
        job = str(view.id)
        (pid,) = warm.prints(job)
        os.kill(warm.shim(job), signal.SIGKILL)
        assert warm.ended(job)[0].end_reason is EndReason.LOST
        until(lambda: gone(pid), "the job has ended")
        run.kill()
    assert not (tmp_path / "ended").exists()


def _file(folder: Path, script: str) -> Path:
    (folder / "reads.py").write_text(script)
    return folder / "reads.py"


def test_a_killed_agent_finds_its_forked_job_again(warm: Warm, gate: Path) -> None:
    job, pids = held(warm, gate)
    former = parent(pids[1])
    warm.agent.kill()
    warm.agent.start()
    warm.stack.online("alpha")
    assert warm.run("print(1)")[0].state is JobState.SUCCEEDED
    gate.touch()
    view, out, _ = warm.ended(job)
    assert view.state is JobState.SUCCEEDED and out.endswith("the end\n")
    until(lambda: gone(former), "the former interpreter has ended")


def test_a_job_that_ends_while_the_agent_is_dead(warm: Warm, gate: Path) -> None:
    job, pids = held(warm, gate)
    warm.agent.kill()
    gate.touch()
    until(lambda: gone(*pids), "it has ended")
    warm.agent.start()
    view, out, _ = warm.ended(job)
    assert view.state is JobState.SUCCEEDED and out.endswith("the end\n")


def test_when_all_around_it_is_killed_a_job_is_found_and_killed(warm: Warm, gate: Path) -> None:
    job, pids = held(warm, gate)
    shim, keeper = warm.shim(job), pids[1]
    interpreter, launcher = parent(keeper), parent(shim)
    os.kill(interpreter, signal.SIGSTOP)
    for pid in (warm.agent.pid, launcher, shim, keeper, interpreter):
        os.kill(pid, signal.SIGKILL)
    warm.agent.wait()
    warm.agent.start()
    view, _, _ = warm.ended(job)
    assert view.end_reason is EndReason.LOST
    until(lambda: gone(*pids), "nothing of it is left")


def test_a_stopped_interpreter_keeps_no_job_from_starting(warm: Warm) -> None:
    warm.run("print(1)")
    (pid,) = map(int, warm.importers())
    os.kill(pid, signal.SIGSTOP)
    job = warm.submit("print('started')")
    view, out, _ = warm.ended(job)
    assert (view.state, out) == (JobState.SUCCEEDED, "started\n")
    assert warm.told(job).startswith("not forked")
    os.kill(pid, signal.SIGCONT)


def test_each_job_ends_once_whatever_is_killed(warm: Warm, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    script = (
        f"import os, time\nfd = os.open({str(runs)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "os.write(fd, (os.environ['REMOTE_JOB_ID'] + '\\n').encode())\n"
        "for number in range(200): print(number, flush=True); time.sleep(0.001)\n"
    )
    dice = random.Random(1)
    jobs = []
    for number in range(24):
        jobs.append(warm.submit(script, max_attempts=1))
        if number % 4 == 1 and warm.importers():
            with suppress(ProcessLookupError):
                os.kill(int(dice.choice(warm.importers())), signal.SIGKILL)
        if number == 12:
            warm.agent.kill()
            warm.agent.start()
    for job in jobs:
        view, out, err = warm.ended(job)
        assert view.state is JobState.SUCCEEDED, (view.end_detail, err)
        assert out.split() == [str(number) for number in range(200)]
    begun = runs.read_text().split()
    assert len(begun) == len(set(begun)) == len(jobs)
