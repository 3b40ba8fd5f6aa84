"""`remote-agent doctor` beside real agents: what it says of them, well and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Agent, Stack, until

Findings = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with one agent."""
    with Stack(tmp_path_factory.mktemp("doctor")) as stack:
        stack.start_server()
        stack.agent("web-7", HTTPS_PROXY="http://me:secret@nowhere.invalid:3128")
        yield stack


def examine(agent: Agent, *words: str, **env: str) -> Findings:
    """What doctor finds beside an agent; its exit code must fit."""
    before, agent.env = agent.env, {**agent.env, **env}
    try:
        done = agent.cli("doctor", "--output", "json", *words, check=False)
    finally:
        agent.env = before
    found = json.loads(done.stdout)
    assert done.returncode == int(any(one["status"] == "fail" for one in found)), done.stderr
    assert "secret" not in done.stdout
    return {f"{one['level']} {one['check']}": one for one in found}


def failures(found: Findings) -> set[str]:
    """Codes of what failed."""
    return {one["code"] for one in found.values() if one["status"] == "fail"}


def test_an_agent_that_is_well(place: Stack) -> None:
    found = examine(place.agents["web-7"])
    assert failures(found) == set()
    assert "online at" in found["static link"]["finding"]
    assert found["static capacity"]["finding"] == "0 of 4 places are taken"
    assert found["static environment"]["finding"] == "the agent's is like this shell's"


def test_who_paused_it_and_why(place: Stack) -> None:
    agent = place.agents["web-7"]
    agent.cli("pause", "--comment", "new disk")
    found = examine(agent)
    assert failures(found) == {"agent_paused"}
    assert "paused on the host: new disk" in found["static condition"]["why"]
    agent.cli("resume")


def test_a_shell_that_is_not_the_services(place: Stack) -> None:
    found = examine(place.agents["web-7"], HTTPS_PROXY="", NO_PROXY="x")
    why = found["static environment"]["why"]
    assert failures(found) == {"environment_differs"}
    assert "HTTPS_PROXY: agent http://***@nowhere.invalid:3128, here \n" in f"{why}\n"
    assert "NO_PROXY: agent not set, here x" in why


def test_an_agent_that_was_killed(place: Stack) -> None:
    agent = place.agents["web-7"]
    agent.kill()
    assert failures(examine(agent)) == {"agent_not_running"}
    agent.start()
    place.online("web-7")


def test_a_server_that_is_gone(place: Stack) -> None:
    agent = place.agents["web-7"]
    place.server.stop()

    def said() -> str:
        return str(json.loads(agent.cli("status", "-o", "json").stdout)["link_failure"])

    until(said, "the agent says why it is not connected")
    found = examine(agent)
    assert "link_down" in failures(found)
    assert "nothing listens at" in found["static link"]["why"]
    assert "nothing listens at" in agent.cli("status").stdout
    place.start_server()
    place.online("web-7")


def test_a_damaged_identity(place: Stack, tmp_path: Path) -> None:
    agent = place.agents["web-7"]
    identity = agent.state_dir / "identity.json"
    text = identity.read_text()
    identity.write_text(text[:40])
    assert "identity_damaged" in failures(examine(agent))
    identity.write_text(text)
