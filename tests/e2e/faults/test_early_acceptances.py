"""A disk that takes its time, or refuses, between what the agent says of an attempt and what the
host will know after a loss of power: nothing starts before."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.states import EndReason, JobState
from tests.e2e.faults.test_hosts import Host
from tests.support.stack import Agent, Stack, until

_DISK = """
import sys, time
from pathlib import Path
from remote_agent.__main__ import main
from remote_agent.left_out import leave_out

leave_out()
from remote_agent.journal import acceptances

place, sync = Path(sys.argv.pop(1)), acceptances.sync_data

def flush(descriptor):
    if (place / "slow").exists():
        time.sleep(0.01)
    if (place / "hold").exists():
        (place / "flushing").touch()
        end = time.monotonic() + 60
        while (place / "hold").exists() and time.monotonic() < end:
            time.sleep(0.01)
    if (place / "broken").exists():
        raise OSError(5, "Input/output error")
    sync(descriptor)
    (place / "flushed").write_text(str(time.time()))

acceptances.sync_data = flush
main()
"""
"""The agent, on a disk that is `slow`, holds flushes (`hold`), or refuses them (`broken`)."""


class Disk:
    """What an agent's disk does with acceptances."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.place = stack.root / "disk"
        self.place.mkdir()
        self.agent: Agent = stack.agent("a")
        self.usual = self.agent.command
        self.agent.stop()
        self.agent.command = [sys.executable, "-c", _DISK, str(self.place), *self.usual[1:]]
        self.agent.start()
        stack.online("a")

    def begins(self, *traits: str) -> None:
        for trait in traits:
            (self.place / trait).touch()

    def ceases(self, trait: str) -> None:
        (self.place / trait).unlink()

    def accepted_in_a_flush(self, **fields: object) -> JobView:
        """A job that notes when it starts, whose acceptance the server has, while the disk does not
        have it yet."""
        self.begins("hold")
        script = f"date +%s.%N >> {self.stack.root / 'ran'}"
        job = self.stack.submit(script, **fields)
        told = self.stack.client.timeline
        until(lambda: "accepted" in [event.what for event in told(job.id)], "it is accepted")
        until((self.place / "flushing").exists, "the flush has begun")
        return job

    @property
    def starts(self) -> list[float]:
        """When the job started."""
        ran = self.stack.root / "ran"
        return [float(line) for line in ran.read_text().split()] if ran.exists() else []

    @property
    def flushed(self) -> float:
        return float((self.place / "flushed").read_text())


@pytest.fixture
def disk(stack: Stack) -> Iterator[Disk]:
    disk = Disk(stack)
    yield disk
    (disk.place / "hold").unlink(missing_ok=True)


@pytest.mark.parametrize("slow", [False, True], ids=["in the loop", "in a thread"])
def test_it_is_accepted_before_the_flush_and_started_after_it(disk: Disk, slow: bool) -> None:
    stack = disk.stack
    if slow:
        disk.begins("slow")
        stack.run("true")
    job = disk.accepted_in_a_flush()
    assert (stack.client.job(job.id).state, disk.starts) == (JobState.ASSIGNED, [])
    if slow:
        assert "online" in disk.agent.cli("status").stdout, "everything else goes on"
    disk.ceases("hold")
    assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED
    (started,) = disk.starts
    assert started > disk.flushed


def test_an_agent_that_is_killed_in_between_forces_what_it_finds_and_starts_it_once(
    disk: Disk,
) -> None:
    job = disk.accepted_in_a_flush()
    disk.agent.kill()
    (disk.place / "flushing").unlink()
    disk.agent.start()
    until((disk.place / "flushing").exists, "the new agent forces what it has found")
    assert disk.starts == []
    disk.ceases("hold")
    ended = disk.stack.client.wait(job.id, 30)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
    (started,) = disk.starts
    assert started > disk.flushed


def test_what_a_host_forgets_with_its_power_never_started(disk: Disk) -> None:
    """The price: the server calls lost what was accepted and has not run."""
    job = disk.accepted_in_a_flush(max_attempts=2, retry_backoff=0)
    Host(disk.stack, disk.agent).loses_power()
    shutil.rmtree(disk.agent.state_dir / "attempts" / f"{job.id}.1")
    accepted = disk.agent.state_dir / "accepted"
    accepted.write_bytes(b" " * len(accepted.read_bytes()))
    disk.ceases("hold")
    disk.agent.start()
    ended = disk.stack.client.wait(job.id, 30)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)
    lost = ended.attempts[0]
    assert (lost.end_reason, lost.end_detail) == (
        EndReason.LOST,
        "the agent came back without it",
    )
    assert len(disk.starts) == 1


def test_a_disk_that_does_not_keep_an_acceptance_ends_the_job_and_takes_no_other(
    disk: Disk,
) -> None:
    stack = disk.stack
    job = disk.accepted_in_a_flush()
    disk.begins("broken")
    disk.ceases("hold")
    lost = stack.client.wait(job.id, 30)
    assert (lost.state, lost.end_reason, lost.end_detail) == (
        JobState.FAILED,
        EndReason.LOST,
        "its agent's disk does not keep that it was accepted (the state directory: Input/output"
        " error): see to that disk, the agent takes no jobs before; it had not started",
    )
    told = [event.what for event in stack.client.timeline(job.id)]
    assert told.count("ended") == 1 and "started" not in told
    assert disk.starts == []
    until(lambda: not stack.client.agent("a").condition.accepting, "the agent takes no jobs")
    waits = stack.submit("true")
    until(lambda: stack.client.job(waits.id).pending_reason, "the next job waits")
    assert stack.client.job(waits.id).attempts == []
    disk.ceases("broken")
    assert stack.client.wait(waits.id, 60).state is JobState.SUCCEEDED
