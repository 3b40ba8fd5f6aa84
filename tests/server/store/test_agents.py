"""Sessions, desired state, edits and removal of agents, on a real database."""

from __future__ import annotations

import pytest

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueCreate
from remote_protocol.errors import ErrorCode
from remote_protocol.messages import Condition, Platform, Settings
from remote_protocol.states import JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Agent
from remote_server.errors import Conflict, NotFound, Refused, UnknownQueue
from remote_server.store import Store
from tests.server.store.test_registrations import enrol, hello, registration_token
from tests.support.loop_turns import loop_turns
from tests.support.stored import NOW, finish, running


async def test_a_session_needs_a_token_that_is_good_at_this_moment(store: Store) -> None:
    await store.create_queue(QueueCreate(name="x"), NOW)
    token = await store.create_token(
        "agent", "rat", "b", NOW, agent="b", queues=("x",), labels={"zone": "1"}, expires_at=NOW + 9
    )
    said = hello(settings=Settings(queues=["default", "x"], labels={"os": "1", "zone": "2"}))
    agent = await store.bump_epoch("b", said, "", NOW, token)
    assert (agent.queues, agent.labels) == (("x",), {"os": "1", "zone": "1"})
    with pytest.raises(Refused, match="expired") as caught:
        await store.bump_epoch("b", said, "", NOW + 9, token)
    assert caught.value.code is ErrorCode.EXPIRED_TOKEN
    await store.delete_agent("b", NOW)
    with pytest.raises(Refused, match="revoked"):
        await store.bump_epoch("b", said, "", NOW, token)
    assert await store.agents() == []


async def test_a_later_hello_is_noted_when_it_says_something_new(store: Store) -> None:
    await store.create_queue(QueueCreate(name="x"), NOW)
    token = await registration_token(store, queues=("default", "x"))
    await enrol(store, token, queues=["default", "x"])
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    assert (await store.announce("a", Settings(queues=["x"]))).queues == ("x",)
    assert (await store.announce("a", Settings(queues=["x"]))).queues == ("x",)
    assert [changes.agents for changes in told] == [{"a"}]
    assert await store.agent("a") == await store.announce("a", Settings(queues=["x"]))


async def test_sessions_are_counted(store: Store) -> None:
    token = await registration_token(store)
    await enrol(store, token)
    said = hello(
        boot_id="boot",
        platform=Platform(hostname="h"),
        condition=Condition(accepting=False, reason="disk"),
    )
    agent = await store.bump_epoch("a", said, "10.0.0.1", NOW + 5)
    assert (agent.epoch, agent.address, agent.boot_id) == (1, "10.0.0.1", "boot")
    assert (agent.connected_at, agent.last_seen_at) == (NOW + 5, NOW + 5)
    assert not agent.condition.accepting
    assert (await store.bump_epoch("a", said, "", NOW + 6)).epoch == 2
    # An agent with a token made beforehand needs no registration.
    assert (await store.bump_epoch("new", hello(), "", NOW)).queues == ("default",)


async def test_an_operators_edit_survives_the_hosts_restart(store: Store) -> None:
    await store.create_queue(QueueCreate(name="x"), NOW)
    own = Settings(queues=["default"], labels={"a": "1"})
    await store.bump_epoch("a", hello(settings=own), "", NOW)
    await store.update_agent(
        "a", AgentChange(queues=["x"], labels={"a": "2"}, capacity={"default": 3})
    )
    agent = await store.bump_epoch("a", hello(settings=own), "", NOW)
    assert (agent.queues, agent.capacity) == (("x",), {"default": 3})
    changed = Settings(queues=["default"], labels={"a": "2"})
    agent = await store.bump_epoch("a", hello(settings=changed), "", NOW)
    assert (agent.queues, agent.labels) == (("x",), {"a": "2"})
    with pytest.raises(UnknownQueue):
        await store.update_agent("a", AgentChange(queues=["nowhere"]))
    with pytest.raises(NotFound, match="no agent 'b'"):
        await store.update_agent("b", AgentChange(labels={}))


async def test_wishes_are_kept_until_they_are_taken_back(store: Store) -> None:
    told: list[ChangeSet] = []
    await store.bump_epoch("a", hello(), "", NOW)
    store.on_commit(told.append)
    await store.set_wishes("a", NOW, paused=True, comment="disk change")
    agent = await store.set_wishes("a", NOW, draining=True, deadline=60)
    assert agent == await store.agent("a")
    assert (agent.paused, agent.pause_comment) == (True, "disk change")
    assert (agent.draining, agent.drain_deadline_at) == (True, NOW + 60)
    agent = await store.set_wishes("a", NOW, paused=False, draining=False)
    assert (agent.paused, agent.pause_comment, agent.draining) == (False, "", False)
    assert agent.drain_deadline_at is None
    assert [changes.agents for changes in told] == [{"a"}] * 3


async def test_a_restart_is_asked_for_until_another_process_says_hello(store: Store) -> None:
    told: list[ChangeSet] = []
    await store.bump_epoch("a", hello(process="p1"), "", NOW)
    store.on_commit(told.append)
    agent = await store.request_restart("a", NOW)
    assert agent.restart_requested_at == NOW and told[-1].agents == {"a"}
    agent = await store.request_restart("a", NOW + 5)
    assert agent.restart_requested_at == NOW, "it stays one restart"
    agent = await store.bump_epoch("a", hello(process="p1"), "", NOW + 6)
    assert agent.restart_requested_at == NOW, "another link of the same process"
    agent = await store.bump_epoch("a", hello(process="p2"), "", NOW + 7)
    assert (agent.process, agent.restart_requested_at) == ("p2", None)
    assert await store.agent("a") == agent


async def test_what_cannot_be_restarted_is_refused_in_words(store: Store) -> None:
    await store.bump_epoch("a", hello(agent_version="0.1"), "", NOW)
    with pytest.raises(Conflict, match=r"version 0\.1, which cannot be restarted from here"):
        await store.request_restart("a", NOW)
    await enrol(store, await registration_token(store), name="new")
    with pytest.raises(Conflict, match="new was never connected"):
        await store.request_restart("new", NOW)
    with pytest.raises(NotFound):
        await store.request_restart("b", NOW)


async def test_contact_is_written_in_batches(store: Store) -> None:
    for name in ("a", "b", "c"):
        await store.bump_epoch(name, hello(), "", NOW)
    await store.save_contact({"a": NOW + 1, "b": NOW + 2, "gone": NOW})
    seen = {agent.name: agent.last_seen_at for agent in await store.agents()}
    assert seen == {"a": NOW + 1, "b": NOW + 2, "c": NOW}
    await store.set_condition("a", Condition(accepting=False, reason="paused"))
    assert (await store.agent("a")).condition.reason == "paused"


async def test_deleting_an_agent_loses_what_it_held(store: Store) -> None:
    token = await registration_token(store)
    await enrol(store, token)
    again = await running(store, max_attempts=2, retry_backoff=0)
    last = await running(store)
    done = await running(store)
    await finish(store, done)
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    assert set(await store.delete_agent("a", NOW)) == {again, last}
    assert (await store.job(again.job)).state is JobState.QUEUED
    assert (await store.job(last.job)).end_detail == "the agent 'a' was deleted"
    assert (await store.job(done.job)).state is JobState.SUCCEEDED
    (gone,) = await store.tokens("agent")
    assert gone.revoked
    why = "the agent was deleted on the server"
    (changes,) = told
    assert (changes.removed_agents, changes.revoked) == ({"a": why}, {gone.id: why})
    assert changes.ended == {last.job}
    with pytest.raises(NotFound):
        await store.agent("a")
    with pytest.raises(NotFound):
        await store.delete_agent("a", NOW)


async def test_rotating_revokes_the_former_token(store: Store) -> None:
    token = await registration_token(store)
    await enrol(store, token)
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    await store.rotate_token("a", "rat2", NOW)
    old, new = await store.token_by_hash("rat1"), await store.token_by_hash("rat2")
    assert old is not None and old.revoked
    assert new is not None and not new.revoked
    (changes,) = told
    assert changes.tokens == {old.id, new.id}
    assert changes.revoked == {old.id: "the agent's token was replaced by a new one"}
    assert not changes.removed_agents


async def test_ephemeral_agents_that_hold_nothing(store: Store) -> None:
    token = await registration_token(store)
    for number, name in enumerate(("idle", "busy", "lasting")):
        ephemeral = name != "lasting"
        await enrol(
            store, token, f"rat{name}", name=name, fingerprint=str(number), ephemeral=ephemeral
        )
    await running(store, "busy")
    assert list(await store.idle_ephemeral()) == ["idle"]
    assert isinstance(await store.agent("idle"), Agent)


async def test_who_serves_a_queue(store: Store) -> None:
    await store.create_queue(QueueCreate(name="x"), NOW)
    token = await registration_token(store, queues=("*",))
    for name, queues in (("b", ["x"]), ("a", ["default", "x"]), ("c", ["default"])):
        await enrol(store, token, digest=name, name=name, fingerprint=name, queues=queues)
    assert await store.serving({"x", "gone"}) == {"x": ["a", "b"], "gone": []}


async def test_they_are_listed_in_pages_and_others_run_in_between(store: Store) -> None:
    names = [f"a{number:03}" for number in range(250)]
    for name in names:
        await store.bump_epoch(name, hello(), "", NOW)
    found, turns = await loop_turns(store.agents())
    assert [agent.name for agent in found] == names
    assert turns >= 2
    assert [agent.name for agent in await store.agents("a100", 3)] == ["a101", "a102", "a103"]
    assert [agent.name for agent in await store.agents("a2485", 3)] == ["a249"]
