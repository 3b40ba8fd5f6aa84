"""Promises that set bounds hold whatever is killed: jobs that must not outlive the contact with
the server, jobs that never start, floods."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import boottime
from remote_agent.processes.linux import children
from remote_protocol.states import EndReason, JobState
from tests.support.stack import Agent, Stack, until


@pytest.fixture
def calm(tmp_path: Path) -> Iterator[Stack]:
    """A server with its own intervals, without agents."""
    with Stack(tmp_path) as stack:
        stack.start_server()
        yield stack


def contact(agent: Agent) -> float:
    """When the server was there last, as the agent has noted it for its shims; boot clock."""
    return (agent.state_dir / "contact").stat().st_mtime


WITNESS = """
trap 'echo "end $REMOTE_ATTEMPT" >> {0}; exit 1' TERM
echo "begin $REMOTE_ATTEMPT" >> {0}
while true; do sleep 0.05; done
"""


def test_a_job_ends_with_the_contact_also_when_its_agent_is_dead(calm: Stack) -> None:
    book = calm.root / "book"
    policy = {"lost_after": 9, "stop_after": 4}
    agent = calm.agent("a")
    job = calm.submit(WITNESS.format(book), max_attempts=2, on_disconnect=policy).id
    until(book.exists, "the job begins")
    # Contact is proven often enough for it: it runs on while the server is there.
    begun = contact(agent)
    until(lambda: contact(agent) > begun + 5, "contact is proven for longer than it needs it")
    assert book.read_text() == "begin 1\n"
    agent.kill()
    calm.agent("b")
    # The agent is dead and the server gives the job away only later: this was the shim.
    until(lambda: "end 1" in book.read_text(), "the shim ends the job")
    until(lambda: "begin 2" in book.read_text(), "the second attempt begins", 30)
    assert book.read_text() == "begin 1\nend 1\nbegin 2\n"
    calm.client.cancel(job)
    assert calm.client.wait(job, 30).state is JobState.CANCELLED


def test_a_restart_of_the_agent_does_not_reset_the_absence(calm: Stack) -> None:
    book = calm.root / "book"
    agent = calm.agent("a")
    calm.submit(WITNESS.format(book), on_disconnect={"stop_after": 5})
    until(book.exists, "the job begins")
    calm.server.kill()

    def ended() -> bool:
        agent.kill()
        agent.start()
        time.sleep(1)  # its life: a whole one, and too short for a job that counts from its start
        return "end 1" in book.read_text()

    until(ended, "the shim ends the job")
    assert boottime() - contact(agent) >= 5, "and no sooner than it may"


def test_a_job_that_its_agent_never_starts_goes_elsewhere(tmp_path: Path) -> None:
    with Stack(tmp_path, AGENTS_START_TTL="2s") as stack:
        stack.start_server()
        agent = stack.agent("a")
        # Nobody is left to start anything: the launcher first, for it would replace its shims.
        for launcher in children(agent.pid):
            os.kill(launcher, signal.SIGSTOP)
            for shim in children(launcher):
                os.kill(shim, signal.SIGSTOP)
        job = stack.submit(command=["true"], max_attempts=2, retry_backoff=3).id
        until(lambda: stack.client.job(job).agent == "a", "the agent has it")
        stack.client.pause_agent("a")  # before its second attempt is due, in five seconds
        stack.agent("b")
        view = stack.client.wait(job, 30)
        assert (view.state, view.agent, view.attempt) == (JobState.SUCCEEDED, "b", 2)
        first = view.attempts[0]
        assert first.end_reason is EndReason.LOST
        assert first.end_detail == (
            "the agent 'a' did not start the job within 2s; it had not started"
        )


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Stack]:
    """A server whose data lies on a disk of 96 MiB."""
    disk = tmp_path / "server"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        with Stack(tmp_path, LIMITS_MIN_FREE_DISK="4MiB") as stack:
            stack.start_server()
            yield stack
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def health(stack: Stack) -> str:
    with urllib.request.urlopen(f"{stack.url}/readyz", timeout=30) as answer:
        return str(json.load(answer)["status"])


def test_a_flood_cannot_fill_the_servers_disk(small: Stack) -> None:
    small.agent("a")
    go = small.root / "go"
    quiet = small.submit(f"while [ ! -e {go} ]; do sleep 0.05; done; exit 3").id
    small.reaches(quiet, JobState.RUNNING)
    flood = small.submit(command=["seq", "1", "3000000"]).id
    until(lambda: health(small) == "low_disk", "the reserve is reached", 60)
    # No new job, in words, but everything that there is can be read.
    request = urllib.request.Request(
        f"{small.url}/api/v1/jobs",
        data=b'{"command": ["true"]}',
        headers={"Authorization": f"Bearer {small.admin_token}"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "30")
    assert "no jobs are taken until there is room" in json.load(refused.value)["detail"]
    assert {job.id for job in small.client.jobs().items} == {quiet, flood}
    # What ends while the disk is low is recorded: that is what the reserve is for.
    go.touch()
    assert small.client.wait(quiet, 30).exit_code == 3
    assert small.client.job(flood).state is JobState.RUNNING
    assert os.statvfs(small.data_dir).f_bavail * 4096 > 1 << 20
    # Room again: it goes on by itself, and not a byte is missing.
    subprocess.run(["mount", "-o", "remount,size=512m", str(small.data_dir)], check=True)
    assert small.client.wait(flood, 90).state is JobState.SUCCEEDED
    wanted = "".join(f"{n}\n" for n in range(1, 3_000_001)).encode()
    got = hashlib.sha256(small.client.log(flood)).hexdigest()
    assert got == hashlib.sha256(wanted).hexdigest()
    assert health(small) == "ok"


def test_a_job_cannot_keep_more_output_than_the_server_allows(tmp_path: Path) -> None:
    with Stack(tmp_path, LIMITS_MAX_JOB_LOG="1MiB") as stack:
        stack.start_server()
        stack.agent("a")
        job = stack.run(command=["seq", "1", "1000000"], max_log=1 << 40)
        log = stack.client.log(job.id)
        assert log.startswith(b"1\n2\n")
        assert log.endswith(b"999999\n1000000\n")
        assert len(log) < 1_200_000
