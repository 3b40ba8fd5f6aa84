"""Real shims of older versions keep real jobs while today's agent takes over (B02).

An agent with recorded shims stands for the older version. It is killed, and today's agent finds
what it left: streams, cancels, limits and ends have to go on as if nothing had happened.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.states import EndReason, JobState
from tests.support.recorded import RECORDS, older_agent
from tests.support.stack import Agent, Stack, until

HANG = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
FLOOD = "for n in range(200_000): print(n)"


class Succession:
    """An agent of an older version, and its successor."""

    def __init__(self, stack: Stack, record: Path) -> None:
        self.stack, self.record = stack, record
        self.agent: Agent = stack.agent("a", capacity=8, online=False)
        self.agent.kill()
        self._todays = self.agent.command
        self.agent.command = older_agent(record, self._todays)
        self.agent.start()
        stack.online("a")

    def older_dies(self) -> None:
        """kill -9; its shims run on."""
        self.agent.kill()
        self.agent.command = self._todays

    def today_takes_over(self) -> None:
        """Start the agent of today and wait for it."""
        self.agent.start()
        self.stack.online("a")

    def shim_of(self, job: str) -> int:
        """The process that keeps a job whose shell has printed its pid; a recorded one."""
        until(lambda: self.stack.client.log(job).strip().isdigit(), "the job prints its pid")
        pid = int(self.stack.client.log(job))
        shim = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        assert str(self.record) in Path(f"/proc/{shim}/cmdline").read_text()
        return shim

    def steps(self, job: str) -> list[str]:
        """What its timeline tells."""
        return [entry.what for entry in self.stack.client.timeline(job)]


@pytest.fixture(params=RECORDS, ids=[record.name for record in RECORDS])
def succession(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Succession]:
    """An older agent that is online."""
    yield Succession(stack, request.param)


def test_there_are_records() -> None:
    assert RECORDS


def test_what_runs_is_taken_over(succession: Succession) -> None:
    stack = succession.stack
    go = stack.root / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    streaming = stack.submit(f"n=0; while [ ! -e {go} ]; do echo $n; n=$((n+1)); done; exit 7")
    ending = stack.submit(f"echo early; {wait}; echo late >&2; exit 5")
    stubborn = stack.submit(HANG, grace_period=0.3)
    polite = stack.submit("trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.02; done")
    doomed = stack.submit("echo $$; exec sleep 60")
    shim = succession.shim_of(doomed.id)
    for job, said in ((streaming, b"9\n"), (ending, b"early\n"), (stubborn, b"ready\n")):
        stack.prints(job.id, said)
    stack.prints(polite.id, b"ready\n")
    succession.older_dies()
    size = len(stack.client.log(streaming.id))
    succession.today_takes_over()

    until(lambda: len(stack.client.log(streaming.id)) > size + 2000, "its output comes again")
    stack.client.cancel(polite.id)
    stack.client.cancel(stubborn.id)
    os.kill(shim, signal.SIGKILL)
    go.touch()

    ended = {job.id: stack.client.wait(job.id, 30) for job in (streaming, ending)}
    assert [job.exit_code for job in ended.values()] == [7, 5]
    log = stack.client.log(streaming.id)
    assert log == b"".join(b"%d\n" % n for n in range(log.count(b"\n")))
    assert stack.client.log(ending.id, stream="stderr") == b"late\n"
    assert all(job.attempt == 1 and job.attempts[-1].log_complete for job in ended.values())

    done = stack.client.wait(polite.id, 30)
    assert done.state is JobState.CANCELLED
    assert stack.client.log(polite.id, stream="stdout") == b"ready\nbye\n"
    assert stack.client.wait(stubborn.id, 30).state is JobState.CANCELLED
    steps = succession.steps(stubborn.id)
    assert "interrupt" in steps and "kill" in steps, steps

    lost = stack.client.wait(doomed.id, 30)
    assert lost.end_reason is EndReason.LOST and "shim" in (lost.end_detail or "")


def test_what_ended_meanwhile_is_read(succession: Succession) -> None:
    stack = succession.stack
    go = stack.root / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    hog = f'exec {sys.executable} -c "import time; hog = bytearray(200_000_000); time.sleep(60)"'
    jobs = {
        "exit": stack.submit(f"{wait}; exit 3"),
        "signal": stack.submit(f"{wait}; kill -9 $$"),
        "memory_limit": stack.submit(f"{wait}; {hog}", memory_limit="64MiB"),
        "spawn_error": stack.submit(f"{wait}; exec /nowhere/nothing"),
    }
    flood = stack.submit(f'{wait}; exec {sys.executable} -c "{FLOOD}"', max_log="100kB")
    for job in (*jobs.values(), flood):
        stack.reaches(job.id, JobState.RUNNING)
    late = stack.submit("exec sleep 60", timeout=1)
    attempts = succession.agent.state_dir / "attempts"
    until((attempts / f"{late.id}.1" / "started.json").exists, "the one that times out begins")
    succession.older_dies()
    go.touch()
    for job in (*jobs.values(), flood):
        until((attempts / f"{job.id}.1" / "exit.json").exists, f"the shim ends {job.id}")
    succession.today_takes_over()

    ended = {name: stack.client.wait(job.id, 30) for name, job in jobs.items()}
    assert {name: (job.end_reason, job.exit_code) for name, job in ended.items()} == {
        "exit": (EndReason.EXIT, 3),
        "signal": (EndReason.SIGNAL, 137),
        "memory_limit": (EndReason.MEMORY_LIMIT, 137),
        "spawn_error": (EndReason.EXIT, 127),
    }
    assert "64" in (ended["memory_limit"].end_detail or "")
    for job in ended.values():
        assert job.usage is not None and job.usage.duration > 0 and job.attempts[-1].log_complete
    assert stack.client.wait(late.id, 30).end_reason is EndReason.TIMEOUT
    full = stack.client.wait(flood.id, 30)
    assert full.exit_code == 0 and full.attempts[-1].log_complete
    log = stack.client.log(flood.id)
    assert log.startswith(b"0\n1\n") and log.endswith(b"199998\n199999\n")
    assert b"bytes omitted here" in log and len(log) < 101_000


def test_a_recorded_launcher_serves_todays_agent(succession: Succession) -> None:
    """The older agent here is today's but for its launcher and shims: all that they say to each
    other is in the contract too."""
    stack = succession.stack
    succession.shim_of(stack.submit("echo $$; exec sleep 60").id)
    jobs = [stack.submit(f"echo {n}; exit {n}") for n in range(6)]
    done = [stack.client.wait(job.id, 30) for job in jobs]
    assert [job.exit_code for job in done] == list(range(6))
    assert [stack.client.log(job.id) for job in done] == [b"%d\n" % n for n in range(6)]
    unknown = stack.run(command=["/nowhere/nothing"])
    assert (unknown.end_reason, unknown.exit_code) == (EndReason.SPAWN_ERROR, 127)
