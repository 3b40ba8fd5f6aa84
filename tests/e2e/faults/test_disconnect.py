"""What becomes of a job whose agent is cut off and comes back, by its own policy (B09)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.spec import OnReturn
from remote_protocol.states import AgentState, EndReason, JobState
from tests.support.counter import Counter
from tests.support.relay import Relay
from tests.support.stack import Agent, Stack, until

SPEAK = """
echo "attempt $REMOTE_ATTEMPT on $REMOTE_AGENT"
while [ ! -e {go}.$REMOTE_ATTEMPT ]; do sleep 0.02; done
echo "end of attempt $REMOTE_ATTEMPT"
"""


@pytest.fixture
def stack(alert: Stack) -> Stack:
    """These tests are about silence."""
    return alert


@pytest.fixture
def relay(stack: Stack) -> Iterator[Relay]:
    """Agent a's line to the server."""
    relay = Relay(("127.0.0.1", stack.port)).start()
    yield relay
    relay.stop()


class Divided:
    """A job of two lives: agent a runs its first attempt behind a black hole, b its second."""

    def __init__(self, stack: Stack, relay: Relay, on_return: OnReturn) -> None:
        self.stack, self.relay = stack, relay
        self.go = stack.root / "go"
        self.agents = {"a": stack.agent("a", capacity=1, url=f"http://127.0.0.1:{relay.port}")}
        self.job = stack.submit(
            SPEAK.format(go=self.go),
            max_attempts=2,
            retry_backoff=0,
            on_disconnect={"lost_after": 3, "on_return": on_return},
        ).id
        stack.prints(self.job, b"attempt 1 on a\n")
        relay.black_hole(True)
        self.agents["b"] = stack.agent("b", capacity=1)
        stack.prints(self.job, b"attempt 2 on b\n")

    def ended_on(self, agent: Agent, number: int) -> None:
        """Wait until this attempt has ended by itself, though nobody can hear of it."""
        self.let_go(number)
        until((agent.state_dir / "attempts" / f"{self.job}.{number}" / "exit.json").exists, "ended")

    def ends_on(self, agent: Agent, number: int) -> None:
        """Wait until the shim of this attempt has killed it."""
        directory = agent.state_dir / "attempts" / f"{self.job}.{number}"
        until(
            lambda: not directory.exists() or (directory / "exit.json").exists(),
            f"attempt {number} is killed",
        )

    def let_go(self, number: int) -> None:
        """Let this attempt end by itself."""
        self.go.with_name(f"{self.go.name}.{number}").touch()

    def finish(self) -> JobView:
        """Let what still runs end; the job's end, and that it ends once."""
        self.let_go(1)
        self.let_go(2)
        job = self.stack.client.wait(self.job, 30)
        states = [entry.state for entry in self.stack.client.timeline(self.job)]
        assert [state for state in states if state and state.terminal] == [JobState.SUCCEEDED]
        return job


def test_a_black_hole_is_noticed_and_survived(stack: Stack, relay: Relay) -> None:
    stack.agent("a", url=f"http://127.0.0.1:{relay.port}")
    counter = Counter(stack)
    relay.black_hole(True)
    until(lambda: stack.client.agent("a").state is not AgentState.ONLINE, "the silence is noticed")
    assert stack.client.job(counter.job.id).state is JobState.RUNNING
    relay.heal()
    stack.online("a")
    counter.finish()


def test_keep_replacement_kills_the_attempt_that_comes_back(stack: Stack, relay: Relay) -> None:
    divided = Divided(stack, relay, OnReturn.KEEP_REPLACEMENT)
    relay.heal()
    divided.ends_on(divided.agents["a"], 1)
    job = divided.finish()
    assert (job.attempt, job.agent) == (2, "b")
    assert [attempt.end_reason for attempt in job.attempts] == [EndReason.LOST, EndReason.EXIT]
    assert stack.client.log(job.id) == b"attempt 2 on b\nend of attempt 2\n"
    assert stack.client.log(job.id, attempt=1) == b"attempt 1 on a\n"


def test_keep_first_kills_the_replacement(stack: Stack, relay: Relay) -> None:
    divided = Divided(stack, relay, OnReturn.KEEP_FIRST)
    relay.heal()
    divided.ends_on(divided.agents["b"], 2)
    job = divided.finish()
    assert (job.attempt, job.agent) == (1, "a")
    assert stack.client.log(job.id) == b"attempt 1 on a\nend of attempt 1\n"
    assert stack.client.log(job.id, attempt=2) == b"attempt 2 on b\n"


def test_keep_first_takes_the_end_that_came_too_late(stack: Stack, relay: Relay) -> None:
    divided = Divided(stack, relay, OnReturn.KEEP_FIRST)
    divided.ended_on(divided.agents["a"], 1)
    relay.heal()
    divided.ends_on(divided.agents["b"], 2)
    job = divided.finish()
    assert (job.attempt, job.agent) == (1, "a")
    assert stack.client.log(job.id) == b"attempt 1 on a\nend of attempt 1\n"
    assert job.attempts[0].log_complete


def test_keep_replacement_drops_the_end_that_came_too_late(stack: Stack, relay: Relay) -> None:
    divided = Divided(stack, relay, OnReturn.KEEP_REPLACEMENT)
    divided.ended_on(divided.agents["a"], 1)
    relay.heal()
    stack.online("a")
    old = divided.agents["a"].state_dir / "attempts" / f"{divided.job}.1"
    until(lambda: not old.exists() or (old / "settled").exists(), "the agent may forget it")
    assert stack.client.job(divided.job).state is JobState.RUNNING
    job = divided.finish()
    assert (job.attempt, job.agent) == (2, "b")
    assert stack.client.log(job.id) == b"attempt 2 on b\nend of attempt 2\n"
    assert stack.client.log(job.id, attempt=1) == b"attempt 1 on a\n"


def test_a_forsaken_agent_stops_its_job_by_itself(stack: Stack, relay: Relay) -> None:
    agent = stack.agent("a", url=f"http://127.0.0.1:{relay.port}")
    pid, bell = stack.root / "pid", stack.root / "interrupted"
    job = stack.submit(
        f"trap 'echo > {bell}; exit' TERM; echo $$ > {pid}; echo up; while :; do sleep 0.02; done",
        on_disconnect={"lost_after": "10m", "stop_after": 0.5},
    )
    other = stack.submit(f"while [ ! -e {stack.root / 'go'} ]; do sleep 0.02; done")
    stack.prints(job.id, b"up\n")
    stack.reaches(other.id, JobState.RUNNING)
    relay.black_hole(True)
    record = agent.state_dir / "attempts" / f"{job.id}.1" / "exit.json"
    until(record.exists, "the agent ends the job while the server is away")
    assert bell.exists(), "politely first"
    assert not Path(f"/proc/{int(pid.read_text())}").exists()
    assert stack.client.job(job.id).state is JobState.RUNNING, "the server cannot know yet"
    relay.heal()
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.end_reason) == (JobState.FAILED, EndReason.LOST)
    assert "the server was away" in (ended.end_detail or "")
    assert ended.attempts[-1].log_complete
    # Who did not ask for it runs on.
    (stack.root / "go").touch()
    assert stack.client.wait(other.id, 30).state is JobState.SUCCEEDED
