"""Webhooks of a real server, seen by a real receiver, by the command line and over a crash."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.api.webhooks import AgentChanged, JobEnded, WebhookCreate, WebhookEvent
from remote_protocol.states import JobState
from tests.support.receiver import Receiver, closes, status
from tests.support.stack import Stack, until

RULE = ("--event", "job.ended", "--job-name", "backup*")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Stack]:
    """A server that may send to loopback, and soon says that an agent is offline."""
    env = {"WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8", "WEBHOOKS_OFFLINE_AFTER": "1s"}
    with Stack(tmp_path, **env) as stack:
        stack.start_server()
        yield stack


def ctl(stack: Stack, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`remotectl webhook`, which must end with this code."""
    done = stack.ctl("webhook", *words)
    assert done.returncode == code, done.stderr.decode()
    return subprocess.CompletedProcess(done.args, code, done.stdout.decode(), done.stderr.decode())


def test_from_the_command_line(told: Stack, receiver: Receiver) -> None:
    made = ctl(told, "create", "alarm", "--to", receiver.url, *RULE, "-o", "json")
    secret = json.loads(made.stdout)["secret"]
    tested = ctl(told, "test", "alarm")
    assert "was delivered" in tested.stderr
    receiver.manner = status(500)
    failed = ctl(told, "test", "alarm", code=1)
    assert "answered 500" in failed.stderr
    receiver.manner = status(204)
    listed = ctl(told, "deliveries", "alarm", "--state", "failed", "-q")
    (delivery,) = listed.stdout.split()
    assert "was delivered" in ctl(told, "replay", "alarm", delivery).stderr
    assert receiver.received[1].id == receiver.received[2].id == delivery
    assert all(one.signed_with(secret) for one in receiver.received)
    rotated = ctl(told, "rotate-secret", "alarm", "--grace", "1h", "-o", "json")
    ctl(told, "test", "alarm")
    assert receiver.received[3].signed_with(json.loads(rotated.stdout)["secret"])
    assert receiver.received[3].signed_with(secret)
    ctl(told, "update", "alarm", "--disable", "--clear", "job-name")
    assert "disabled" in ctl(told, "list").stdout
    shown = json.loads(ctl(told, "show", "alarm", "-o", "json").stdout)
    assert shown["job_name"] is None and "secret" not in shown
    ctl(told, "delete", "alarm")
    ctl(told, "show", "alarm", code=1)


def test_no_end_is_lost_when_the_server_is_killed(told: Stack, receiver: Receiver) -> None:
    """Killed between the commit of an end and its message, while messages hang, and again."""
    hook = WebhookCreate(name="a", url=receiver.url, events=[WebhookEvent.JOB_ENDED])
    secret = told.client.create_webhook(hook).secret
    agent = told.agent("a")
    jobs = [told.run("true", name="first").id]
    until(lambda: receiver.received, "the first is told")
    receiver.manner = receiver.hangs
    jobs += [told.run("exit 3", name=f"job-{number}").id for number in range(6)]
    # Their ends are committed. Some are being sent, and others were not looked at yet.
    told.server.kill()
    # What goes on while the server is away is told, too.
    receiver.manner = closes
    told.start_server()
    told.online("a")
    jobs.append(told.run("true", name="last").id)
    told.server.kill()
    receiver.manner = status(204)
    receiver.gate.set()
    before = len(receiver.received)
    told.start_server()

    def all_there() -> bool:
        messages = [one.message for one in receiver.received]
        return {one.data.id for one in messages if isinstance(one, JobEnded)} == set(jobs)

    until(lambda: all_there() and len(receiver.received) > before, "all are told", 120)
    until(
        lambda: {one.state for one in told.client.webhook_deliveries("a")} == {"delivered"},
        "all are delivered",
        120,
    )
    by_job: dict[str, set[str]] = {}
    for one in receiver.received:
        assert one.signed_with(secret)
        message = one.message
        assert isinstance(message, JobEnded)
        by_job.setdefault(message.data.id, set()).add(one.id)
        assert message.data.state in (JobState.SUCCEEDED, JobState.FAILED)
    # However often one was sent, it had one id.
    assert {len(ids) for ids in by_job.values()} == {1}
    assert agent.running


def test_an_agent_that_goes_and_comes_back_is_told(told: Stack, receiver: Receiver) -> None:
    hook = WebhookCreate(
        name="a",
        url=receiver.url,
        events=[WebhookEvent.AGENT_OFFLINE, WebhookEvent.AGENT_ONLINE],
    )
    told.client.create_webhook(hook)
    agent = told.agent("web-7")

    def heard(event: WebhookEvent) -> bool:
        messages = [one.message for one in receiver.received]
        return any(isinstance(one, AgentChanged) and one.type is event for one in messages)

    until(lambda: heard(WebhookEvent.AGENT_ONLINE), "it came online", 60)
    agent.send(signal.SIGKILL)
    agent.wait()
    until(lambda: heard(WebhookEvent.AGENT_OFFLINE), "it went offline", 60)
    count = len(receiver.received)
    agent.start()
    until(lambda: len(receiver.received) > count, "it is back", 60)


def test_nothing_goes_to_loopback_by_default(stack: Stack, receiver: Receiver) -> None:
    ctl(stack, "create", "alarm", "--to", receiver.url, *RULE)
    failed = ctl(stack, "test", "alarm", code=1)
    assert "127.0.0.1 is not a public address" in failed.stderr
    assert "allowed_networks" in failed.stderr
    assert receiver.received == []
