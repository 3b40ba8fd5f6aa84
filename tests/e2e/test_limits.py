"""Promises that set bounds hold whatever is killed: jobs that must not outlive the contact with
the server, jobs that never start, floods."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.states import JobState
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
