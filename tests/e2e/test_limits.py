"""Promises that set bounds hold whatever is killed: jobs that must not outlive the contact with
the server, jobs that never start, floods."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes.linux import children
from remote_protocol.states import EndReason, JobState
from tests.support.stack import Stack, until


@pytest.fixture
def calm(tmp_path: Path) -> Iterator[Stack]:
    """A server with its own intervals, without agents."""
    with Stack(tmp_path) as stack:
        stack.start_server()
        yield stack


WITNESS = """
trap 'echo "end $REMOTE_ATTEMPT" >> {0}; exit 1' TERM
echo "begin $REMOTE_ATTEMPT" >> {0}
while true; do sleep 0.05; done
"""


def test_a_job_ends_with_the_contact_also_when_its_agent_is_dead(calm: Stack) -> None:
    book = calm.root / "book"
    policy = {"lost_after": 8, "stop_after": 3}
    agent = calm.agent("a")
    job = calm.submit(WITNESS.format(book), max_attempts=2, on_disconnect=policy).id
    until(book.exists, "the job begins")
    # Contact is proven often enough for it: it runs on while the server is there.
    time.sleep(4.5)
    assert book.read_text() == "begin 1\n"
    agent.kill()
    killed = time.monotonic()
    calm.agent("b")
    until(lambda: "end 1" in book.read_text(), "the shim ends the job")
    assert time.monotonic() - killed < 5
    until(lambda: "begin 2" in book.read_text(), "the second attempt begins", 30)
    assert book.read_text() == "begin 1\nend 1\nbegin 2\n"
    calm.client.cancel(job)
    assert calm.client.wait(job, 20).state is JobState.CANCELLED


def test_a_restart_of_the_agent_does_not_begin_the_absence_anew(calm: Stack) -> None:
    book = calm.root / "book"
    agent = calm.agent("a")
    calm.submit(WITNESS.format(book), on_disconnect={"stop_after": 5})
    until(book.exists, "the job begins")
    calm.server.kill()
    gone = time.monotonic()
    for _ in range(3):
        agent.kill()
        agent.start()
        time.sleep(1)
    until(lambda: "end 1" in book.read_text(), "the shim ends the job")
    assert 2 < time.monotonic() - gone < 6.5


def test_a_job_that_its_agent_never_starts_goes_elsewhere(tmp_path: Path) -> None:
    with Stack(tmp_path, AGENTS_START_TTL="2s") as stack:
        stack.start_server()
        agent = stack.agent("a")
        # Nobody is left to start anything: the launcher first, for it would replace its shims.
        for launcher in children(agent.pid):
            os.kill(launcher, signal.SIGSTOP)
            for shim in children(launcher):
                os.kill(shim, signal.SIGSTOP)
        job = stack.submit(command=["true"], max_attempts=2).id
        until(lambda: stack.client.job(job).agent == "a", "the agent has it")
        stack.agent("b")
        stack.client.pause_agent("a")
        view = stack.client.wait(job, 30)
        assert (view.state, view.agent, view.attempt) == (JobState.SUCCEEDED, "b", 2)
        first = view.attempts[0]
        assert first.end_reason is EndReason.LOST
        assert first.end_detail == (
            "the agent 'a' did not start the job within 2s; it had not started"
        )
