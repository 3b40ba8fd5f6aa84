"""How an agent leaves: at a signal as `on_stop` says, after its one job, and for good."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from remote_client.errors import ApiError
from remote_protocol.api.jobs import JobView
from remote_protocol.states import AgentState, EndReason, JobState
from tests.support.stack import Agent, Stack, says, until

DRAIN = '[agent]\non_stop = "drain"\n'
CANCEL = '[agent]\non_stop = "cancel"\n'


def waiting_job(stack: Stack, runs: bool = True) -> tuple[JobView, Path]:
    """A job that ends when the file is made; it runs, unless there is nobody yet to run it."""
    go = stack.root / "go"
    job = stack.submit(f"echo up; while [ ! -e {go} ]; do sleep 0.02; done; echo over")
    if runs:
        stack.prints(job.id, b"up\n")
    return job, go


def term(stack: Stack, agent: Agent) -> None:
    """The first signal; returns when the server knows that no more jobs are taken."""
    agent.send(signal.SIGTERM)
    name = agent.name.removeprefix("agent ")
    until(lambda: not stack.client.agent(name).condition.accepting, "the server is told")


def holds(agent: Agent) -> bool:
    """Whether it has attempts that the server has not let it forget."""
    return bool(json.loads(agent.cli("status", "--output", "json").stdout)["attempts"])


def test_on_stop_drain_finishes_what_runs(stack: Stack) -> None:
    agent = stack.agent("a", config=DRAIN)
    job, go = waiting_job(stack)
    term(stack, agent)
    later = stack.submit("true")
    go.touch()
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, stack.client.log(job.id)) == (JobState.SUCCEEDED, b"up\nover\n")
    assert agent.wait() == 0, agent.words()
    assert stack.client.job(later.id).state is JobState.QUEUED


def test_on_stop_cancel_ends_what_runs(stack: Stack) -> None:
    agent = stack.agent("a", config=CANCEL)
    job, _ = waiting_job(stack)
    agent.send(signal.SIGTERM)
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED)
    assert "the agent was stopped" in (ended.end_detail or "")
    assert agent.wait() == 0, agent.words()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_agent_at_once_and_no_job(
    stack: Stack, second: signal.Signals
) -> None:
    agent = stack.agent("a", config=DRAIN)
    job, go = waiting_job(stack)
    term(stack, agent)
    agent.send(second)
    assert agent.wait() == 1, agent.words()
    assert stack.client.job(job.id).state is JobState.RUNNING
    agent.start()
    stack.online("a")
    go.touch()
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
    assert stack.client.log(job.id) == b"up\nover\n"


def test_once_runs_one_job_though_it_has_room_for_more(stack: Stack) -> None:
    jobs = [stack.submit(f"echo {n}") for n in range(4)]
    agent = stack.agent("a", capacity=4, run=["--once"], online=False)
    assert agent.wait() == 0, agent.words()
    one = [JobState.QUEUED] * 3 + [JobState.SUCCEEDED]
    until(lambda: sorted(stack.client.job(job.id).state for job in jobs) == one, "one has run")
    # Those that it was offered as well are free for others, and none has used up an attempt.
    stack.agent("b")
    done = [stack.client.wait(job.id, 30) for job in jobs]
    assert all((job.state, job.attempt) == (JobState.SUCCEEDED, 1) for job in done)


def test_an_ephemeral_agent_of_one_job_leaves_no_trace_on_the_server(stack: Stack) -> None:
    job = stack.submit("echo done")
    agent = stack.agent("brief", "--ephemeral", run=["--once"], online=False)
    assert stack.client.wait(job.id, 30).agent == "brief"
    assert agent.wait() == 0, agent.words()
    with pytest.raises(ApiError) as gone:
        stack.client.agent("brief")
    assert gone.value.code == "not_found"
    assert not (agent.state_dir / "identity.json").exists()
    assert stack.client.log(job.id) == b"done\n"


def test_an_ephemeral_agent_stays_known_while_its_jobs_run_on(stack: Stack) -> None:
    agent = stack.agent("brief", "--ephemeral")
    job, go = waiting_job(stack)
    assert agent.stop() == 0, agent.words()
    assert stack.client.agent("brief").ephemeral
    agent.start()
    stack.online("brief")
    go.touch()
    assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED
    until(lambda: not holds(agent), "it may forget the job")
    assert agent.stop() == 0
    assert [known.name for known in stack.client.agents().items] == []


def test_a_container_needs_the_environment_only(stack: Stack) -> None:
    agent = stack.agent("env", "--ephemeral")
    assert agent.stop() == 0
    # Gone on both sides: the first `run` enrols it by what the environment says.
    agent.env |= {
        "REMOTE_AGENT_SERVER": stack.url,
        "REMOTE_AGENT_TOKEN": stack.registration_token(uses=1),
        "REMOTE_AGENT_NAME": "env",
        "REMOTE_AGENT_ONCE": "1",
        "REMOTE_AGENT_EPHEMERAL": "1",
    }
    job = stack.submit("true")
    agent.start()
    assert stack.client.wait(job.id, 30).agent == "env"
    assert agent.wait() == 0, agent.words()
    assert [known.name for known in stack.client.agents().items] == []


def test_an_idle_agent_leaves_for_good_after_its_jobs(stack: Stack) -> None:
    job, go = waiting_job(stack, runs=False)
    agent = stack.agent("brief", "--ephemeral", run=["--idle-timeout", "1s"])
    stack.prints(job.id, b"up\n")
    # A crash meanwhile changes nothing: the next one finds the job, and is not idle.
    agent.kill()
    agent.start()
    stack.online("brief")
    idle = stack.agent("idle", "--ephemeral", run=["--idle-timeout", "1s"], online=False)
    assert idle.wait() == 0, "meanwhile, one without a job has left"
    assert agent.running and stack.client.job(job.id).state is JobState.RUNNING
    go.touch()
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
    assert agent.wait() == 0, agent.words()
    says(agent.words(), "no job for 1s")
    assert [known.name for known in stack.client.agents().items] == []
    assert stack.client.log(job.id) == b"up\nover\n"


def test_an_agent_that_never_gets_a_job_leaves_too(stack: Stack) -> None:
    agent = stack.agent("brief", run=["--idle-timeout", "1s"], online=False)
    assert agent.wait() == 0, agent.words()
    until(lambda: stack.client.agent("brief").state is AgentState.OFFLINE, "it is offline")
    agent.env["REMOTE_AGENT_IDLE_TIMEOUT"] = "0.5s"
    agent.command = agent.command[:-2]
    agent.start()
    assert agent.wait() == 2
    says(agent.words(), "--idle-timeout: is 1s or longer")
