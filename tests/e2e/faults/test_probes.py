"""What probes of a container see of an agent: files, and `status --check`."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.stack import AGENT, Agent, Stack, until


def recent(path: Path) -> bool:
    """What an exec probe of Kubernetes does."""
    found = subprocess.run(["find", path, "-mmin", "-1"], capture_output=True, check=False)
    return bool(found.stdout)


def make_old(path: Path) -> None:
    """A running agent may make it recent again at once."""
    os.utime(path, (1.0, 1.0))


def checked(agent: Agent, wanted: str) -> bool:
    """`remote-agent status --check`."""
    done = agent.cli("status", "--check", wanted, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.startswith("not " if done.returncode else wanted), done.stdout
    return done.returncode == 0


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "probes" / "live"


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    return tmp_path / "probes" / "ready"


@pytest.fixture
def variables(live: Path, ready: Path) -> dict[str, str]:
    return {"REMOTE_AGENT_LIVENESS_FILE": str(live), "REMOTE_AGENT_READINESS_FILE": str(ready)}


def test_alive_and_ready_through_outages_and_kills(
    stack: Stack, live: Path, ready: Path, variables: dict[str, str]
) -> None:
    stack.everywhere |= variables
    agent = stack.agent("a")
    until(lambda: recent(live) and recent(ready), "both files are there")
    assert checked(agent, "live") and checked(agent, "ready")

    stack.server.kill()
    until(lambda: not ready.exists(), "it is not ready without its server")
    make_old(live)
    until(lambda: recent(live), "its loop turns all the same")
    assert checked(agent, "live") and not checked(agent, "ready")
    stack.start_server()
    until(lambda: recent(ready), "it is ready again")

    agent.freeze()
    for path in (live, ready):
        make_old(path)
        assert not recent(path)
    agent.send(signal.SIGCONT)
    until(lambda: recent(live) and recent(ready), "its loop turns again")

    agent.kill()
    assert ready.exists()
    for path in (live, ready):
        make_old(path)
    assert not checked(agent, "live") and not checked(agent, "ready")
    agent.start()
    until(lambda: recent(live) and recent(ready), "the next one writes them anew")
    assert live.read_text() == f"{agent.pid}\n"

    assert agent.stop() == 0, agent.words()
    assert not list(live.parent.iterdir())


@pytest.mark.parametrize("comes", [True, False])
def test_alive_and_not_ready_while_it_waits_to_be_registered(
    stack: Stack, live: Path, ready: Path, variables: dict[str, str], comes: bool
) -> None:
    token = stack.root / "token"
    token.write_text(stack.registration_token() + "\n")
    stack.server.kill()
    state_dir = stack.root / "agent-late"
    given = {
        "REMOTE_AGENT_SERVER": stack.url,
        "REMOTE_AGENT_NAME": "late",
        "REMOTE_AGENT_STATE_DIR": str(state_dir),
        "REMOTE_AGENT_TOKEN_FILE": str(token),
    }
    env = stack.env(**(variables | given))
    agent = Agent("agent late", [AGENT, "run"], env, stack.root / "late.out")
    agent.state_dir = state_dir
    stack.agents["late"] = agent.start()
    until(lambda: "trying again" in agent.words(), "it waits for its server")
    assert recent(live) and not ready.exists()
    assert checked(agent, "live") and not checked(agent, "ready")
    if comes:
        stack.start_server()
        until(lambda: recent(ready), "it is registered and connected")
        assert checked(agent, "ready")
    # Also one that waits leaves in an orderly way: it may be the first process of a container.
    assert agent.stop() == 0, agent.words()
    assert not list(live.parent.iterdir())
    assert "Traceback" not in agent.words()
