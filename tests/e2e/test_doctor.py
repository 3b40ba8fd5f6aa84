"""`remote-agent doctor` beside real agents: what it says of them, well and not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from remote_agent.config import load
from remote_agent.connection.endpoint import Endpoint
from remote_agent.doctor import live
from remote_agent.doctor.examination import Known, examine_host, examine_server
from remote_agent.doctor.settings import IDENTITY, GivenToken
from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.report import Finding, as_json
from remote_protocol.states import AgentState
from tests.support.old_proxy import OldProxy
from tests.support.relay import Relay
from tests.support.stack import Agent, Stack, until

Findings = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with one agent."""
    with Stack(tmp_path_factory.mktemp("doctor")) as stack:
        stack.start_server()
        stack.agent("web-7", HTTPS_PROXY="http://me:hunter2@nowhere.invalid:3128")
        yield stack


def examine(agent: Agent, url: str | None = None, **env: str) -> Findings:
    """What doctor finds beside an agent, in a shell with these variables."""
    environ = {**agent.env, **env}
    flags = {("server", "url"): url}
    found, known = examine_host(
        lambda: load(None, environ, flags, agent.state_dir)[0], GivenToken(), environ
    )
    found += examine_server(known, None)
    assert "hunter2" not in as_json(found)
    return {f"{one.level} {one.check}": asdict(one) for one in found}


def failures(found: Findings) -> set[str]:
    """Codes of what failed."""
    return {one["code"] for one in found.values() if one["status"] == "fail"}


def test_an_agent_that_is_well(place: Stack) -> None:
    done = place.agents["web-7"].cli("doctor", "--output", "json")
    assert "hunter2" not in done.stdout
    found = {f"{one['level']} {one['check']}": one for one in json.loads(done.stdout)}
    assert failures(found) == set()
    assert "online at" in found["static link"]["finding"]
    assert found["static capacity"]["finding"] == "0 of 4 places are taken"
    assert found["static environment"]["finding"] == "the agent's is like this shell's"
    alive = {name: one["status"] for name, one in found.items() if name.startswith("live")}
    assert {name for name, status in alive.items() if status == "skip"} == {"live tls", "live idle"}
    assert found["live token"]["finding"] == "good: agent token of the agent web-7"
    assert place.client.agent("web-7").state is AgentState.ONLINE, "its session goes on"


def look(url: str, token: str, idle: float | None = None, queues: tuple[str, ...] = ()) -> Findings:
    """What the live checks find of a server, for an agent with this token."""
    known = Known(Endpoint(url, token), "no proxy is named", queues, IDENTITY)
    return {one.check: asdict(one) for one in examine_server(known, idle)}


def test_a_host_before_it_registers(place: Stack, tmp_path: Path) -> None:
    token, file = place.registration_token(uses=1), tmp_path / "token"
    file.write_text(token)
    words = ("--server", place.url, "--token-file", str(file), "--state-dir", str(tmp_path / "new"))
    done = place.remote_agent("doctor", *words, "--idle", "1s", "-o", "json")
    found = {f"{one['level']} {one['check']}": one for one in json.loads(done.stdout)}
    assert failures(found) == set() and done.returncode == 0
    assert found["static identity"]["code"] == "registers_at_start"
    assert "1 uses left" in found["live token"]["finding"]
    assert found["live websocket"]["status"] == found["live idle"]["status"] == "pass"
    assert token not in done.stdout
    found = look(place.url, token, queues=("berlni",))
    assert "1 uses left" in found["token"]["finding"], "doctor spends none"


def test_a_middlebox_that_knows_no_websocket(place: Stack) -> None:
    with OldProxy(("127.0.0.1", place.port)) as proxy:
        found = look(proxy.url, place.registration_token())
    assert failures(found) == {"upgrade_blocked"}
    assert "removed the Upgrade header" in found["websocket"]["why"]


def test_a_proxy_that_cuts_silent_links(place: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = Relay(("127.0.0.1", place.port)).start()
    silence = live._silence

    async def cut(wire: ClientConnection, idle: float | None) -> Finding:
        # Neither before the silence has begun nor long after: the proxy cannot know when it does.
        asyncio.get_running_loop().call_later(0.1, relay.cut)
        return await silence(wire, idle)

    monkeypatch.setattr(live, "_silence", cut)
    try:
        found = look(f"http://127.0.0.1:{relay.port}", place.registration_token(), idle=60)
    finally:
        relay.stop()
    assert failures(found) == {"idle_cut"}


def test_tokens_that_hold_no_more(place: Stack) -> None:
    made = place.client.create_registration_token(RegistrationTokenCreate(uses=1))
    place.client.revoke_token(made.id, "registration-tokens")
    assert failures(look(place.url, made.token)) == {"token_unknown"}
    used = place.registration_token(uses=1)
    place.register("once", token=used)
    assert failures(look(place.url, used)) == {"token_used_up"}
    short = place.registration_token(expires=0.05)
    until(lambda: failures(look(place.url, short)) == {"token_expired"}, "it expires")
    found = look(place.url, place.admin_token)
    assert failures(found) == {"token_of_wrong_kind"}
    assert found["websocket"]["why"] == "needs: token"
    assert look(place.url, "")["token"]["code"] == "no_token"


def test_queues_that_are_paused_or_not_given(place: Stack) -> None:
    agent = place.agents["web-7"]
    place.client.change_queue("default", QueueChange(paused=True))
    assert failures(examine(agent)) == {"queue_paused"}
    place.client.change_queue("default", QueueChange(paused=False))
    found = examine(agent, REMOTE_AGENT_AGENT_QUEUES="default,berlni")
    assert failures(found) == {"queue_not_given"}
    assert "berlni" in found["live queues"]["finding"]
    place.client.pause_agent("web-7", "night")
    until(lambda: failures(examine(agent)) == {"server_pauses", "agent_paused"}, "it is paused")
    place.client.resume_agent("web-7")
    until(lambda: not failures(examine(agent)), "it is resumed")


def test_plain_http_that_is_refused(place: Stack) -> None:
    found = examine(place.agents["web-7"], "http://jobs.invalid:8750")
    assert failures(found) == {"unencrypted_server"}
    assert {one["why"] for name, one in found.items() if name.startswith("live")} == {
        "needs: configuration"
    }


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


def test_the_users_side(place: Stack) -> None:
    def ctl(token: str | None = None) -> Findings:
        done = place.ctl("doctor", "--output", "json", token=token)
        found = {str(one["check"]): one for one in json.loads(done.stdout)}
        assert done.returncode == int(bool(failures(found)))
        return found

    found = ctl()
    assert {name for name, one in found.items() if one["status"] != "pass"} == {"tls"}
    assert found["token"]["finding"].startswith("good: first-admin, role admin")
    made = place.client.create_token("gone")
    place.client.revoke_token(made.id)
    assert failures(ctl(made.token)) == {"token_unknown"}
    place.client.create_queue(QueueCreate(name="lonely"))
    job = place.submit(command=["true"], queue="lonely")
    found = ctl()
    assert failures(found) == {"queue_not_served"} and "lonely" in found["queues"]["finding"]
    place.client.cancel(job.id)


def test_a_server_that_is_gone(place: Stack) -> None:
    agent = place.agents["web-7"]
    place.server.stop()

    def said() -> str:
        return str(json.loads(agent.cli("status", "-o", "json").stdout)["link_failure"])

    until(said, "the agent says why it is not connected")
    found = examine(agent)
    assert failures(found) == {"link_down", "connection_refused"}
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
