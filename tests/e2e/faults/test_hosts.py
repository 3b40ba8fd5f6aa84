"""What becomes of a host: it restarts, or two of them claim to be one agent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import uuid
from contextlib import suppress
from pathlib import Path

from remote_agent.processes import boot_id
from remote_protocol.states import AgentState, EndReason, JobState
from tests.support.stack import Agent, Stack, until


def twin_of(stack: Stack, agent: Agent) -> Agent:
    """A second host to which an agent's state directory was copied, as cloned machines have it that
    share a machine id. A copy of the identity alone is refused: see test_copies."""
    state_dir = stack.root / "twin"
    state_dir.mkdir()
    for name in ("identity.json", "installation"):
        shutil.copy(agent.state_dir / name, state_dir)
    command = [str(state_dir) if word == str(agent.state_dir) else word for word in agent.command]
    twin = Agent("agent twin", command, agent.env, stack.root / "twin.out")
    twin.state_dir = state_dir
    stack.agents["twin"] = twin
    return twin


def test_the_newest_of_two_hosts_with_one_identity_wins(stack: Stack) -> None:
    older = stack.agent("a")
    held = stack.submit("echo $PPID; exec sleep 60", on_disconnect={"lost_after": "10m"})
    until(lambda: stack.client.log(held.id), "a job runs on the older host")
    newer = twin_of(stack, older)
    newer.start()
    told = "another agent connected with this agent's identity and took over"
    until(lambda: told in older.words(), "the older one is told")
    assert "Register one of the two hosts under a name of its own" in older.words()
    stack.online("a")
    # It stays so: the older one does not come back within seconds to throw the newer one out.
    assert told not in newer.words()
    done = stack.run("echo here > $REMOTE_WORK_DIR/../proof; cat $REMOTE_WORK_DIR/../proof")
    assert (done.state, stack.client.log(done.id)) == (JobState.SUCCEEDED, b"here\n")
    assert list(newer.state_dir.glob(f"attempts/{done.id}.1"))
    assert not list(older.state_dir.glob(f"attempts/{done.id}.1"))
    assert older.running and newer.running
    # What the older host runs is not the newer one's to have: it waits for its own host.
    assert stack.client.agent("a").state is AgentState.ONLINE


class Host:
    """All processes of an agent's host."""

    def __init__(self, stack: Stack, agent: Agent) -> None:
        self.stack, self.agent = stack, agent

    def loses_power(self) -> None:
        """SIGKILL agent, launcher, shims and jobs at once; nobody can write a last word."""
        server = self.stack.server.pid
        victims: set[int] = set()
        # What is stopped starts nothing any more: all are found when a look finds nobody new.
        while found := set(self.stack.survivors()) - {server} - victims:
            send(signal.SIGSTOP, found)
            victims |= found
        send(signal.SIGKILL, victims)
        self.agent.wait()
        until(lambda: set(self.stack.survivors()) == {server}, "only the server is left")

    def is_another_boot(self) -> None:
        """The kernel makes up an id at each start. What was noted gets another one: the same
        difference as after a real start, which no test can have."""
        accepted = self.agent.state_dir / "accepted"
        accepted.write_bytes(accepted.read_bytes().replace(boot_id().encode(), bytes(36)))
        for attempt in (self.agent.state_dir / "attempts").glob("*.1"):
            for name in ("attempt.jsonl", "started.json"):
                _another_boot(attempt / name)


def send(number: signal.Signals, pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # jobs and shims may be about to end by themselves
            os.kill(pid, number)


def _another_boot(file: Path) -> None:
    if not file.exists():
        return
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        if "boot_id" in line:
            line["boot_id"] = str(uuid.uuid4())
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_restarted_host_says_so_and_its_jobs_are_run_again(stack: Stack) -> None:
    agent = stack.agent("a")
    once = stack.submit("echo once; exec sleep 60", retry_on=[])
    twice = stack.submit(
        "echo attempt $REMOTE_ATTEMPT; [ $REMOTE_ATTEMPT = 2 ] || exec sleep 60",
        max_attempts=2,
        retry_backoff=0,
    )
    ended = stack.submit("echo ended in time; exit 3")
    stack.prints(once.id, b"once\n")
    stack.prints(twice.id, b"attempt 1\n")
    stack.client.wait(ended.id, 30)
    host = Host(stack, agent)
    host.loses_power()
    host.is_another_boot()
    agent.start()
    lost = stack.client.wait(once.id, 30)
    assert (lost.state, lost.end_reason, lost.exit_code) == (
        JobState.FAILED,
        EndReason.LOST,
        None,
    )
    assert "the host restarted" in (lost.end_detail or ""), lost.end_detail
    assert stack.client.log(once.id) == b"once\n"
    done = stack.client.wait(twice.id, 30)
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 2)
    assert [attempt.end_reason for attempt in done.attempts] == [EndReason.LOST, EndReason.EXIT]
    assert stack.client.log(twice.id) == b"attempt 2\n"
    assert stack.client.log(twice.id, attempt=1) == b"attempt 1\n"
    assert stack.client.job(ended.id).exit_code == 3


def test_an_attempt_that_was_only_accepted_on_the_disk_is_lost_with_its_host(
    stack: Stack,
) -> None:
    """Nothing of an attempt is forced to the disk but that it was accepted: the power is cut before
    the kernel has written its directory, or with the directory's former name."""
    agent = stack.agent("a", capacity=2)
    gone = stack.submit("echo here; exec sleep 60", retry_on=[])
    again = stack.submit(
        "echo attempt $REMOTE_ATTEMPT; [ $REMOTE_ATTEMPT = 2 ] || exec sleep 60",
        max_attempts=2,
        retry_backoff=0,
    )
    stack.prints(gone.id, b"here\n")
    stack.prints(again.id, b"attempt 1\n")
    host = Host(stack, agent)
    host.loses_power()
    host.is_another_boot()
    attempts = agent.state_dir / "attempts"
    shutil.rmtree(attempts / f"{gone.id}.1")
    (attempts / f"{again.id}.1").rename(attempts / ".spare.7")
    agent.start()
    lost = stack.client.wait(gone.id, 30)
    assert (lost.state, lost.end_reason) == (JobState.FAILED, EndReason.LOST)
    assert "the host restarted" in (lost.end_detail or ""), lost.end_detail
    done = stack.client.wait(again.id, 30)
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 2)
    assert [attempt.end_reason for attempt in done.attempts] == [EndReason.LOST, EndReason.EXIT]
    # What comes back of an attempt whose end is known changes nothing.
    agent.stop()
    slots = agent.state_dir / "accepted"
    stale = "".join(f"{job.id}.1 {uuid.uuid4()}".ljust(127) + "\n" for job in (gone, again))
    slots.write_text(f"{stale}{f'{again.id}.2 {uuid.uuid4()}'.ljust(127)}\n")
    agent.start()
    until(lambda: not slots.read_text().strip(), "the server has settled all of them")
    assert stack.client.job(again.id).state is JobState.SUCCEEDED
    assert len(stack.client.job(again.id).attempts) == 2
    assert stack.client.job(gone.id).end_detail == lost.end_detail


def test_a_killed_host_of_the_same_boot_lost_its_shims(stack: Stack) -> None:
    agent = stack.agent("a")
    job = stack.submit("echo up; exec sleep 60", retry_on=[])
    stack.prints(job.id, b"up\n")
    Host(stack, agent).loses_power()
    agent.start()
    lost = stack.client.wait(job.id, 30)
    assert lost.end_reason is EndReason.LOST
    assert "shim" in (lost.end_detail or "") and "restart" not in (lost.end_detail or "")
