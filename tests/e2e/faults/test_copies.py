"""An identity that was copied to a second place, with real processes."""

from __future__ import annotations

import shutil

from remote_protocol.states import JobState
from tests.support.stack import AGENT, Agent, Stack


def copied(stack: Stack, name: str) -> Agent:
    """A second installation with the identity of an agent."""
    state_dir = stack.root / "copy"
    state_dir.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(stack.agents[name].state_dir / "identity.json", state_dir)
    command = [AGENT, "run", "--state-dir", state_dir]
    agent = Agent("the copy", command, stack.env(), stack.root / "copy.out")
    agent.state_dir = state_dir
    stack.agents["copy"] = agent
    return agent.start()


def test_a_copied_identity_costs_no_job(stack: Stack) -> None:
    original = stack.agent("a")
    going = stack.submit(f"echo on; while [ ! -e {stack.root}/go ]; do sleep 0.05; done")
    stack.reaches(going.id, JobState.RUNNING)
    copy = copied(stack, "a")
    assert copy.wait() == 4
    assert "it was copied" in copy.words()
    assert "under a name of its own" in copy.words()
    # A restart of the server does not help it either.
    stack.server.kill()
    stack.start_server()
    stack.online("a")
    copy.start()
    assert copy.wait() == 4
    (stack.root / "go").touch()
    found = stack.reaches(going.id, JobState.SUCCEEDED)
    assert (found.attempt, found.agent) == (1, "a")
    assert stack.client.log(going.id) == b"on\n"
    # The host is given up: the other place may have its name.
    assert original.stop() == 0
    copy.start()
    stack.agents["a"] = copy
    stack.online("a")
    assert stack.run("echo there").attempt == 1
