"""`remotectl agent restart`: another process of the agent under the same running jobs, once for
each request, whatever is killed meanwhile."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

from remote_protocol.states import AgentState, JobState
from tests.support.stack import Agent, Stack, says, until

LINES = 300
LOG = b"".join(b"line %d\n" % number for number in range(1, LINES + 1)) + b"over\n"


class Running:
    """A job that prints slowly and ends when it is let go; its log is compared byte for byte."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._go = stack.root / "go"
        count = f"for n in $(seq 1 {LINES}); do echo line $n; sleep 0.01; done"
        wait = f"while [ ! -e {self._go} ]; do sleep 0.02; done"
        self._id = stack.submit(f"{count}; {wait}; echo over").id
        stack.prints(self._id, b"line 20\n")

    def ends_well(self) -> None:
        """Its one attempt ends, with every byte of its log."""
        assert self._stack.client.job(self._id).state is JobState.RUNNING
        self._go.touch()
        ended = self._stack.client.wait(self._id, 60)
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
        assert self._stack.client.log(self._id) == LOG


def restarts(agent: Agent) -> int:
    """How often it has restarted because of a request, by its own log."""
    lines = (agent.state_dir / "logs" / "agent.log").read_text().splitlines()
    return sum("restarted by the server" in json.loads(line).get("reason", "") for line in lines)


def restarted(stack: Stack) -> None:
    """Wait until the server knows that it was done, and the new process is online."""

    def done() -> bool:
        view = stack.client.agent("a")
        return view.restart_requested_at is None and view.state is AgentState.ONLINE

    until(done, "the agent was restarted", 60)


def zombies(pid: int) -> list[str]:
    """Children of a process that have ended and that nobody waited for."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == pid:
            found.append(entry.parent.name)
    return found


def test_jobs_run_on_and_their_logs_are_whole(stack: Stack) -> None:
    agent = stack.agent("a")
    job = Running(stack)
    for _ in range(2):
        done = stack.ctl("agent", "restart", "a", check=True)
        says(done.stderr.decode(), "a restarts; its jobs run on")
        restarted(stack)
    assert agent.running, "for who has started it, it is one process"
    job.ends_well()
    assert restarts(agent) == 2, "once for each request"
    # New jobs get the umask and the limit of files that the agent was started with.
    facts = stack.run("umask; ulimit -n")
    mask, files = stack.client.log(facts.id).split()
    status = Path("/proc/self/status").read_text()
    assert int(mask, 8) == int(status.partition("Umask:")[2].split()[0], 8)
    assert int(files) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    until(lambda: not zombies(agent.pid), "nothing is left of the former programs")


def test_killed_meanwhile_it_restarts_once_and_no_more(stack: Stack) -> None:
    agent = stack.agent("a")
    job = Running(stack)
    stack.ctl("agent", "restart", "a", check=True)
    agent.kill()
    before = restarts(agent)
    agent.start()
    restarted(stack)
    job.ends_well()
    assert restarts(agent) == before, "its crash was the restart, unless that was over already"


def test_killed_with_its_server_it_restarts_once_and_no_more(stack: Stack) -> None:
    agent = stack.agent("a")
    job = Running(stack)
    agent.freeze()
    stack.ctl("agent", "restart", "a", check=True)
    stack.server.kill()
    agent.send(signal.SIGCONT)
    stack.start_server()
    restarted(stack)
    assert restarts(agent) == 1, "the request is in the database"
    job.ends_well()
    assert restarts(agent) == 1


def test_an_agent_that_is_offline_restarts_when_it_comes_back(alert: Stack) -> None:
    agent = alert.agent("a")
    agent.freeze()
    offline = AgentState.OFFLINE
    until(lambda: alert.client.agent("a").state is offline, "it is offline")
    done = alert.ctl("agent", "restart", "a", check=True)
    says(done.stderr.decode(), "a is offline: it restarts when it comes back")
    assert alert.client.agent("a").restart_requested_at is not None
    agent.send(signal.SIGCONT)
    restarted(alert)
    assert restarts(agent) == 1


def test_one_that_was_started_anew_meanwhile_has_nothing_to_do(stack: Stack) -> None:
    agent = stack.agent("a")
    assert agent.stop() == 0
    until(lambda: stack.client.agent("a").state is AgentState.OFFLINE, "it is offline")
    stack.ctl("agent", "restart", "a", check=True)
    agent.start()
    restarted(stack)
    assert stack.run("true").state is JobState.SUCCEEDED
    assert restarts(agent) == 0
