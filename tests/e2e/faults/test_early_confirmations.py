"""A server that is killed between a confirmation and the commit of its acceptance: the job runs,
and the database has only the offer. On SQLite: only there confirmations leave first."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.states import AttemptState, JobState
from tests.support.databases import new_database
from tests.support.stack import Agent, Stack, until

_DYING = """
import os, signal, sys, time
from pathlib import Path
from remote_server.store.sqlite import database as module
from remote_server.store.sqlite.database import SqliteDatabase
from remote_server.__main__ import main

# An acceptance that shares the commit of its assignment is confirmed after it.
module.ANSWER_TURNS = 0
ran, commit = Path(sys.argv.pop(1)), SqliteDatabase.commit

def dying(database):
    # Its start, reported meanwhile, may share that commit.
    begun = "SELECT 1 FROM attempts WHERE state IN ('accepted', 'running')"
    if database._connection.execute(begun).fetchone():
        end = time.monotonic() + 30
        while not ran.exists() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    commit(database)

SqliteDatabase.commit = dying
main()
"""
"""The server, killed in the commit of the first acceptance as soon as its job runs."""
_TTL = 1.0
"""Seconds for which an offer lives; another 15 later it is taken back."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server with agents `a` and `b` that are not started."""
    ttl = f"{_TTL:g}s"
    with Stack(tmp_path, DATABASE=new_database(tmp_path, "sqlite"), AGENTS_OFFER_TTL=ttl) as stack:
        stack.start_server()
        for name in "ab":
            stack.agent(name).kill()
        yield stack


def killed_after_the_confirmation(stack: Stack, agent: Agent) -> str:
    """Have a job run by the agent, confirmed by a server that dies before it has stored that; the
    job, which goes on until the file `go` is there."""
    go, ran = stack.root / "go", stack.root / "ran"
    script = f"echo $REMOTE_AGENT $REMOTE_ATTEMPT >> {ran}; until [ -e {go} ]; do sleep 0.1; done"
    stack.server.kill()
    usual = stack.server.command
    stack.server.command = [sys.executable, "-c", _DYING, str(ran), *usual[1:]]
    stack.start_server()
    agent.start()
    stack.online("a")
    job = stack.submit(script).id
    assert stack.server.wait() == -signal.SIGKILL, stack.server.words()
    stack.server.command = usual
    assert ran.exists(), "it was confirmed, and its process has begun"
    return job


def finished(stack: Stack, job: str) -> None:
    """Let the job end: it ran once, and ended once."""
    (stack.root / "go").touch()
    ended = stack.client.wait(job, 60)
    assert (ended.state, ended.attempt, ended.agent) == (JobState.SUCCEEDED, 1, "a")
    assert (stack.root / "ran").read_text() == "a 1\n"
    told = [event.what for event in stack.client.timeline(job)]
    assert told.count("accepted") == told.count("started") == told.count("ended") == 1


def test_it_goes_on_and_ends_once(stack: Stack) -> None:
    job = killed_after_the_confirmation(stack, stack.agents["a"])
    stack.start_server()
    stack.online("a")
    until(lambda: stack.client.job(job).state is JobState.RUNNING, "its agent said what it has")
    finished(stack, job)


def test_it_is_not_given_to_another_agent_while_its_own_is_away(stack: Stack) -> None:
    agent = stack.agents["a"]
    job = killed_after_the_confirmation(stack, agent)
    agent.freeze()
    stack.start_server()
    stack.agents["b"].start()
    stack.online("b")
    end = time.monotonic() + _TTL + 15 + 10
    while time.monotonic() < end:
        shown = stack.client.job(job)
        assert (shown.state, shown.agent) == (JobState.ASSIGNED, "a")
        (attempt,) = shown.attempts
        assert attempt.state is AttemptState.OFFERED
        time.sleep(1)
    assert stack.run("true", deadline=60).agent == "b"
    agent.send(signal.SIGCONT)
    stack.online("a")
    finished(stack, job)
