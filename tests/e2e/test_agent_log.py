"""The agent's own log on the server: live, whole over kills of both, after its jobs' output."""

from __future__ import annotations

from remote_protocol.states import JobState
from tests.support.stack import Stack, until


def lines(stack: Stack, *options: str) -> list[str]:
    return stack.ctl("agent", "logs", "a", *options, check=True).stdout.decode().splitlines()


def test_it_comes_live_and_once(stack: Stack) -> None:
    agent = stack.agent("a")
    until(lambda: any("agent: online" in line for line in lines(stack)), "its log is here")
    follower = stack.ctl_start("agent", "logs", "-f", "--tail", "1", "a")
    try:
        stack.ctl("agent", "pause", "a", "--comment", "a new disk", check=True)
        assert follower.stdout is not None
        seen = []
        while "taking no jobs" not in (line := follower.stdout.readline().decode()):
            assert line, "it goes on until then"
            seen.append(line)
        assert "a new disk" in line
        # Over a server that is killed, and an agent that is.
        stack.server.kill()
        stack.start_server()
        agent.kill()
        agent.start()
        stack.online("a")
        stack.ctl("agent", "resume", "a", check=True)
        while "taking jobs" not in (line := follower.stdout.readline().decode()):
            assert line, "it goes on after the outage"
    finally:
        follower.kill()
        follower.communicate()
    own = (agent.state_dir / "logs" / "agent.log").read_text().count("\n")
    until(lambda: len(lines(stack)) >= own, "all of it is here")
    found = lines(stack)
    assert len(found) == len(set(found)), "no line twice"
    assert "rat_" not in "\n".join(found)


def test_off_means_off(stack: Stack) -> None:
    stack.agent("a", REMOTE_AGENT_LOG_SEND="off")
    stack.agent("b")
    assert stack.run("true").state is JobState.SUCCEEDED
    until(lambda: stack.ctl("agent", "logs", "b", check=True).stdout, "what another one sends")
    assert lines(stack) == []
