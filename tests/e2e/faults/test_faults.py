"""Nothing is lost: kill -9 of agent and server, a cut and a dead link, with jobs running."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.spool import closed_name
from remote_client.errors import ApiError
from remote_protocol.states import EndReason, JobState
from tests.support.counter import Counter
from tests.support.relay import Relay
from tests.support.stack import Stack, until


@pytest.fixture
def relay(stack: Stack) -> Iterator[Relay]:
    """A line to the server that can be made bad."""
    relay = Relay(("127.0.0.1", stack.port)).start()
    yield relay
    relay.stop()


def via(relay: Relay) -> str:
    return f"http://127.0.0.1:{relay.port}"


def test_a_killed_agent_finds_its_job_again(stack: Stack) -> None:
    agent = stack.agent("a")
    counter = Counter(stack)
    agent.kill()
    size = counter.arrived()
    agent.start()
    until(lambda: counter.arrived() > size + 500, "output comes again")
    counter.finish()


def test_a_job_that_ends_while_the_agent_is_dead(stack: Stack) -> None:
    agent = stack.agent("a")
    counter = Counter(stack)
    agent.kill()
    counter.go.touch()
    attempt = next((agent.state_dir / "attempts").glob(f"{counter.job.id}.*"))
    until((attempt / "exit.json").exists, "the shim writes the exit record")
    agent.start()
    counter.finish()


def test_a_stopped_agent_leaves_its_job_running(stack: Stack) -> None:
    agent = stack.agent("a")
    counter = Counter(stack)
    assert agent.stop() == 0, agent.words()
    agent.start()
    stack.online("a")
    counter.finish()


def test_a_killed_server_loses_nothing(stack: Stack) -> None:
    stack.agent("a")
    counter = Counter(stack)
    queued = stack.submit("true", labels={"never": "there"})
    follower = stack.ctl_start("job", "logs", "-f", counter.job.id)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"line 0\n"
    stack.server.kill()
    stack.start_server()
    stack.online("a")
    assert stack.client.job(queued.id).state is JobState.QUEUED
    counter.finish()
    with follower:
        out = follower.stdout.read()
    assert follower.returncode == 0
    assert b"line 0\n" + out == stack.client.log(counter.job.id)


def test_a_submission_repeated_over_a_killed_server_makes_one_job(stack: Stack) -> None:
    stack.agent("a")
    starts = stack.root / "starts"
    fields = {"shell": "sh", "script": f"echo ran >> {starts}", "idempotency_key": "once"}
    first = stack.submit(**fields)
    stack.server.kill()
    stack.start_server()
    stack.online("a")
    assert stack.submit(**fields).id == first.id
    assert stack.client.wait(first.id, 30).state is JobState.SUCCEEDED
    assert stack.submit(**fields).id == first.id, "its end does not free the key"
    with pytest.raises(ApiError) as refused:
        stack.submit("echo something else", idempotency_key="once")
    assert refused.value.status in (409, 422), refused.value
    assert starts.read_text() == "ran\n"


def test_a_job_that_ends_while_the_server_is_dead(stack: Stack) -> None:
    agent = stack.agent("a")
    counter = Counter(stack)
    stack.server.kill()
    counter.go.touch()
    attempt = next((agent.state_dir / "attempts").glob(f"{counter.job.id}.*"))
    until((attempt / "exit.json").exists, "the shim writes the exit record")
    stack.start_server()
    counter.finish()


def test_killing_agent_and_server_together(stack: Stack) -> None:
    agent = stack.agent("a")
    counter = Counter(stack)
    stack.server.kill()
    agent.kill()
    agent.start()
    stack.start_server()
    counter.finish()


def test_a_cut_link_is_bridged(stack: Stack, relay: Relay) -> None:
    stack.agent("a", url=via(relay))
    counter = Counter(stack)
    for _ in range(3):
        size = counter.arrived()
        relay.cut()
        until(lambda size=size: counter.arrived() > size + 200, "output comes again")  # type: ignore[misc]
    counter.finish()


def test_a_lost_agent_loses_the_attempt_and_the_job_is_run_again(alert: Stack) -> None:
    stack = alert
    agent = stack.agent("a", capacity=1)
    go = stack.root / "go"
    job = stack.submit(
        f"echo attempt $REMOTE_ATTEMPT on $REMOTE_AGENT; while [ ! -e {go} ]; do sleep 0.05; done",
        max_attempts=2,
        retry_backoff=0,
        on_disconnect={"lost_after": 3},
    )
    stack.prints(job.id, b"attempt 1 on a\n")
    agent.freeze()
    stack.agent("b", capacity=1)
    until(lambda: stack.client.job(job.id).agent == "b", "the job is given to b", 30)
    stack.prints(job.id, b"attempt 2 on b\n")
    agent.send(signal.SIGCONT)
    stack.online("a")
    # The stale attempt is fenced: its shim ends it, and none of its bytes land in the new log.
    old = agent.state_dir / "attempts" / f"{job.id}.1"
    until(lambda: not old.exists() or (old / "exit.json").exists(), "the stale attempt is killed")
    go.touch()
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.attempt, ended.agent) == (JobState.SUCCEEDED, 2, "b")
    assert [attempt.end_reason for attempt in ended.attempts] == [EndReason.LOST, EndReason.EXIT]
    assert stack.client.log(job.id) == b"attempt 2 on b\n"


def test_a_dead_shim_is_said_so(stack: Stack) -> None:
    agent = stack.agent("a")
    job = stack.submit("echo $$; exec sleep 60")
    until(lambda: stack.client.log(job.id).strip().isdigit(), "the job prints its pid")
    pid = int(stack.client.log(job.id))
    shim = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(shim, signal.SIGKILL)
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.end_reason, ended.exit_code) == (
        JobState.FAILED,
        EndReason.LOST,
        None,
    )
    assert "shim" in (ended.end_detail or "")
    until(lambda: not Path(f"/proc/{pid}").exists(), "the job dies with its shim")
    assert agent.running


def test_what_a_deleted_agent_runs_ends_before_another_runs_it(stack: Stack) -> None:
    agent = stack.agent("a")
    job = stack.submit("echo $$; exec sleep 60", max_attempts=2, retry_backoff=0)
    until(lambda: stack.client.log(job.id).strip().isdigit(), "the job prints its pid")
    pid = int(stack.client.log(job.id))
    stack.agent("b")
    stack.ctl("agent", "delete", "a", "--yes", check=True)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the deleted agent ends its job")
    until(lambda: stack.client.job(job.id).agent == "b", "another agent runs it")
    until(lambda: not agent.running, "an agent that was deleted ends")


SMALL_SPOOL = '[logs]\nsegment_size = "64KiB"\nsegments = 1\n'


@pytest.mark.parametrize("cut", [False, True], ids=["a byte turns", "the end is lost"])
def test_a_damaged_log_keeps_no_job_from_its_end(stack: Stack, cut: bool) -> None:
    agent = stack.agent("a", config=SMALL_SPOOL)
    go = stack.root / "go"
    first = "for n in 1 2 3 4 5 6; do seq 9999; sleep 0.1; done"
    job = stack.submit(f"{first}; while [ ! -e {go} ]; do sleep 0.05; done; seq 10000 19999")
    spool = agent.state_dir / "attempts" / f"{job.id}.1"
    stack.prints(job.id, b"\n9999\n")

    def dropped() -> bool:
        names = {path.name for path in spool.glob("output.0*.log")}
        return bool(names) and closed_name(0) not in names

    until(dropped, "the front of its spool is dropped")
    stack.server.kill()
    (log,) = (stack.data_dir / "logs").rglob("*.log")
    with log.open("r+b") as file:
        if cut:
            file.truncate(500)
        else:
            file.seek(100)
            file.write(b"#")
    stack.start_server()
    stack.online("a")
    go.touch()
    job = stack.client.wait(job.id, 40)
    assert (job.state, job.exit_code, job.attempt) == (JobState.SUCCEEDED, 0, 1)
    until((spool / "settled").exists, "the agent is told to forget it")
    assert not job.attempts[-1].log_complete
    shown = stack.client.log(job.id)
    assert shown.endswith(b"".join(b"%d\n" % n for n in range(10_000, 20_000)))
    assert (b"bytes of this log were lost" in shown) is cut
