"""An agent that has nothing but its environment, as in a container."""

from __future__ import annotations

from pathlib import Path

from remote_protocol.states import JobState
from tests.support.stack import AGENT, Agent, Stack, says, until


def container(stack: Stack, token: Path) -> Agent:
    """One that is not registered yet."""
    state_dir = stack.root / "agent-pod-0"
    env = stack.env(
        REMOTE_AGENT_SERVER=stack.url,
        REMOTE_AGENT_TOKEN_FILE=str(token),
        REMOTE_AGENT_NAME="pod-0",
        REMOTE_AGENT_CAPACITY="default=2",
        REMOTE_AGENT_STATE_DIR=str(state_dir),
        REMOTE_AGENT_ON_STOP="drain",
    )
    agent = Agent("agent pod-0", [AGENT, "run"], env, stack.root / "pod-0.out")
    agent.state_dir = state_dir
    stack.agents["pod-0"] = agent
    return agent


def test_killed_it_goes_on_as_itself_though_its_token_is_used_up_and_gone(stack: Stack) -> None:
    token = stack.root / "token"
    token.write_text(stack.registration_token(uses=1) + "\n")
    agent = container(stack, token).start()
    until(lambda: [known.name for known in stack.client.agents().items], "it is registered")
    stack.online("pod-0")
    go = stack.root / "go"
    job = stack.submit(f"echo up; while [ ! -e {go} ]; do sleep 0.02; done; echo over")
    stack.prints(job.id, b"up\n")
    agent.kill()
    token.unlink()
    agent.start()
    stack.online("pod-0")
    go.touch()
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.attempt, ended.agent) == (JobState.SUCCEEDED, 1, "pod-0")
    assert stack.client.log(job.id) == b"up\nover\n"
    assert agent.stop() == 0, agent.words()
    assert token.name not in agent.words() and "rrt_" not in agent.words()


def test_what_is_missing_or_given_twice_is_named_at_once(stack: Stack) -> None:
    token = stack.root / "token"
    token.write_text("rrt_x\n")
    agent = container(stack, token)
    given = dict(agent.env)
    for name in ("REMOTE_AGENT_SERVER", "REMOTE_AGENT_TOKEN_FILE"):
        del agent.env[name]
    assert agent.start().wait() == 2
    says(agent.words(), "--server URL, REMOTE_AGENT_SERVER", "REMOTE_AGENT_TOKEN_FILE or")
    agent.log.unlink()
    agent.env = {**given, "REMOTE_AGENT_TOKEN": "rrt_y"}
    assert agent.start().wait() == 2
    says(agent.words(), "REMOTE_AGENT_TOKEN and REMOTE_AGENT_TOKEN_FILE", "leave one of them out")
    agent.log.unlink()
    proxy = {"REMOTE_AGENT_PROXY": "http://h:1", "REMOTE_AGENT_PROXY_FILE": str(token)}
    agent.env = {**given, **proxy, "REMOTE_AGENT_CAPACITY": "many"}
    assert agent.start().wait() == 2
    says(agent.words(), "REMOTE_AGENT_PROXY and REMOTE_AGENT_PROXY_FILE", "'many'")
    assert not agent.state_dir.exists() and "rrt_" not in agent.words()
