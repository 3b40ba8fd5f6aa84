"""Files of jobs arrive whole: kill -9 of agent, server and remotectl, and cut links, meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.states import EndReason, JobState
from tests.support.relay import Relay
from tests.support.stack import Agent, Stack, until

SIZE = 24 << 20


@pytest.fixture
def relay(stack: Stack):
    relay = Relay(("127.0.0.1", stack.port)).start()
    yield relay
    relay.stop()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(SIZE))
    return path


def via(relay: Relay) -> str:
    return f"http://127.0.0.1:{relay.port}"


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def arrived(agent: Agent) -> int:
    """Bytes of contents that the agent has."""
    folder = agent.state_dir / "contents"
    return sum(path.stat().st_size for path in folder.glob("*")) if folder.exists() else 0


def begun(stack: Stack, relay: Relay, agent: Agent, data: Path) -> str:
    """A job whose file is on its way to the agent."""
    relay.rate(4 << 20)
    done = stack.ctl("run", "--detach", "--file", f"{data}:in/large", "--", "sha256sum", "in/large")
    assert done.returncode == 0, done.stderr
    until(lambda: arrived(agent) > 1 << 20, "some of it has come")
    job = done.stdout.decode().strip()
    assert stack.client.job(job).state is JobState.ASSIGNED
    return job


def ends_well(stack: Stack, relay: Relay, job: str, data: Path) -> JobView:
    relay.rate(None)
    ended = stack.client.wait(job, 60)
    assert ended.state is JobState.SUCCEEDED, ended.end_detail
    assert ended.attempt == 1
    assert stack.client.log(job).decode().split() == [digest_of(data), "in/large"]
    return ended


def test_they_survive_the_agent(stack: Stack, relay: Relay, data: Path) -> None:
    agent = stack.agent("a", url=via(relay))
    job = begun(stack, relay, agent, data)
    for _ in range(3):
        agent.kill()
        size = arrived(agent)
        agent.start()
        until(lambda size=size: arrived(agent) > size, "it goes on")  # type: ignore[misc]
    assert arrived(agent) < SIZE, "it was not just over"
    ends_well(stack, relay, job, data)


def test_they_survive_the_server(stack: Stack, relay: Relay, data: Path) -> None:
    agent = stack.agent("a", url=via(relay))
    job = begun(stack, relay, agent, data)
    for _ in range(2):
        stack.server.kill()
        size = arrived(agent)
        stack.start_server()
        until(lambda size=size: arrived(agent) > size, "it goes on")  # type: ignore[misc]
    assert arrived(agent) < SIZE, "it was not just over"
    ends_well(stack, relay, job, data)


def test_they_survive_cut_links(stack: Stack, relay: Relay, data: Path) -> None:
    agent = stack.agent("a", url=via(relay))
    job = begun(stack, relay, agent, data)
    for _ in range(3):
        size = arrived(agent)
        relay.cut()
        until(lambda size=size: arrived(agent) > size, "it goes on")  # type: ignore[misc]
    ends_well(stack, relay, job, data)


def test_a_job_that_waits_says_so_and_is_cancelled(stack: Stack, relay: Relay, data: Path) -> None:
    agent = stack.agent("a", url=via(relay))
    job = begun(stack, relay, agent, data)
    reason = until(lambda: stack.client.job(job).pending_reason, "it says why it waits")
    assert (
        reason
        and "its files are on their way to the agent 'a'" in reason
        and "of 24.0 MiB" in reason
    )
    assert stack.client.job(job).started_at is None
    stack.client.cancel(job)
    ended = stack.client.wait(job, 20)
    assert ended.state is JobState.CANCELLED and ended.started_at is None
    # Others are not held up by it, and what has come is used.
    again = stack.ctl(
        "run", "--detach", "--file", f"{data}:in/large", "--", "sha256sum", "in/large"
    )
    ends_well(stack, relay, again.stdout.decode().strip(), data)


def test_short_jobs_do_not_wait_for_files_of_others(stack: Stack, relay: Relay, data: Path) -> None:
    agent = stack.agent("a", url=via(relay), capacity=2)
    job = begun(stack, relay, agent, data)
    other = stack.run("echo hello")
    assert stack.client.log(other.id) == b"hello\n"
    assert stack.client.job(job).state is JobState.ASSIGNED, "it was not just over"
    ends_well(stack, relay, job, data)


def test_a_broken_off_upload_goes_on(stack: Stack, relay: Relay, data: Path) -> None:
    stack.agent("a")
    parts = stack.data_dir / "contents" / "parts"
    relay.rate(4 << 20)
    words = ("run", "--file", f"{data}:in/large", "--", "sha256sum", "in/large")

    def sent() -> int:
        return sum(path.stat().st_size for path in parts.glob("*")) if parts.exists() else 0

    size = 0
    for number in (signal.SIGKILL, signal.SIGINT):
        process = stack.ctl_start(*words, REMOTE_URL=via(relay))
        until(lambda size=size: sent() > size + (1 << 20), "some of it is sent")  # type: ignore[misc]
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        size = sent()
        if number is signal.SIGINT:
            assert process.returncode == 130, err
            assert b"no job was submitted; the same call goes on where this one was" in err
    assert 0 < size < SIZE
    relay.rate(None)
    done = stack.ctl(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == [digest_of(data), "in/large"]
    assert sent() == 0


def test_what_the_server_lost_ends_the_job_in_words(stack: Stack, relay: Relay, data: Path) -> None:
    agent = stack.agent("a", url=via(relay))
    job = begun(stack, relay, agent, data)
    agent.kill()
    digest = digest_of(data)
    (stack.data_dir / "contents" / digest[:2] / digest).unlink()
    relay.rate(None)
    agent.start()
    ended = stack.client.wait(job, 60)
    assert (ended.state, ended.end_reason) == (JobState.FAILED, EndReason.SPAWN_ERROR)
    assert ended.end_detail and "submit the job again, with its files" in ended.end_detail
    # Sent again, as the sentence says, it is there again.
    done = stack.ctl("run", "--file", f"{data}:in/large", "--", "sha256sum", "in/large")
    assert done.stdout.decode().split() == [digest, "in/large"], done.stderr


def test_a_damaged_cache_is_noticed(stack: Stack, relay: Relay, data: Path) -> None:
    agent = stack.agent("a", url=via(relay))
    job = begun(stack, relay, agent, data)
    agent.kill()
    (part,) = (agent.state_dir / "contents").glob("*.part")
    with part.open("r+b") as file:
        file.write(b"something else")
    relay.rate(None)
    agent.start()
    ends_well(stack, relay, job, data)
