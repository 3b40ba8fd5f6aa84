"""A server that is killed between an offer and the commit that assigns it: the attempt is on its
agent's disk, and the database knows nothing of it. On SQLite: only there offers leave first."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.states import JobState
from tests.support.databases import new_database
from tests.support.stack import Agent, Stack, until

_DYING = """
import os, signal, sys, time
from pathlib import Path
from remote_server.store.sqlite.database import SqliteDatabase
from remote_server.__main__ import main

accepted, commit = Path(sys.argv.pop(1)), SqliteDatabase.commit

def dying(database):
    # The agent may have accepted it already, in the same transaction.
    given = "SELECT job FROM attempts WHERE state IN ('offered', 'accepted')"
    rows = database._connection.execute(given)
    if row := rows.fetchone():
        end = time.monotonic() + 30
        while not (accepted / f"{row[0]}.1" / "attempt.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    commit(database)

SqliteDatabase.commit = dying
main()
"""
"""The server, killed in the commit of the first offer as soon as that is on its agent's disk."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server with agents `a` and `b` that are not started, and a job that waits."""
    with Stack(tmp_path, DATABASE=new_database(tmp_path, "sqlite")) as stack:
        stack.start_server()
        for name in "ab":
            stack.agent(name).kill()
        yield stack


def killed_after_the_offer(stack: Stack, agent: Agent) -> str:
    """Have a job offered to the agent, which takes it, by a server that dies before it knows; the
    job."""
    job = stack.submit(f"echo $REMOTE_AGENT $REMOTE_ATTEMPT >> {stack.root / 'ran'}").id
    stack.server.kill()
    usual = stack.server.command
    place = agent.state_dir / "attempts"
    stack.server.command = [sys.executable, "-c", _DYING, str(place), *usual[1:]]
    stack.start_server()
    agent.start()
    assert stack.server.wait() == -signal.SIGKILL, stack.server.words()
    stack.server.command = usual
    assert (place / f"{job}.1" / "attempt.jsonl").exists(), "the agent has taken it"
    return job


def ran(stack: Stack) -> str:
    """What the job has noted, each time that it was started."""
    return (stack.root / "ran").read_text()


def test_it_is_offered_to_the_same_agent_again_and_runs_once(stack: Stack) -> None:
    agent = stack.agents["a"]
    job = killed_after_the_offer(stack, agent)
    agent.freeze()
    stack.start_server()
    assert stack.client.job(job).attempt == 0, "nothing of the offer was stored"
    agent.send(signal.SIGCONT)
    ended = stack.client.wait(job, 60)
    assert (ended.state, ended.attempt, ended.agent) == (JobState.SUCCEEDED, 1, "a")
    assert ran(stack) == "a 1\n"


def test_it_runs_on_another_agent_and_the_first_one_lets_go(stack: Stack) -> None:
    first, second = stack.agents["a"], stack.agents["b"]
    job = killed_after_the_offer(stack, first)
    first.freeze()
    stack.start_server()
    second.start()
    ended = stack.client.wait(job, 60)
    assert (ended.state, ended.attempt, ended.agent) == (JobState.SUCCEEDED, 1, "b")
    first.send(signal.SIGCONT)
    stack.online("a")
    held = first.state_dir / "attempts" / f"{job}.1"
    until(
        lambda: not held.exists() or not (held / "attempt.jsonl").exists(), "it was told to let go"
    )
    # It takes the next one as if nothing had happened.
    second.kill()
    assert stack.run("true", deadline=60).agent == "a"
    assert ran(stack) == "b 1\n"
