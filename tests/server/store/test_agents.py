"""Enrolment, sessions, wishes, edits and removal of agents, on a real database."""

from __future__ import annotations

import pytest

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.registration import Registration
from remote_protocol.errors import ErrorCode
from remote_protocol.messages import Condition, Hello, Platform, Settings
from remote_protocol.states import JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Agent, Token
from remote_server.errors import NameTaken, NotFound, Refused, UnknownQueue
from remote_server.store import Store
from remote_server.store.agents import Enrolment
from tests.support.stored import NOW, finish, running

SESSION = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def registration_token(store: Store, digest: str = "rrt", **fields: object) -> Token:
    return await store.create_token("registration", digest, "t", NOW, **fields)  # type: ignore[arg-type]


def wanted(name: str = "a", fingerprint: str = "f1", **fields: object) -> Registration:
    parts = {key: fields.pop(key) for key in ("replace", "ephemeral") if key in fields}
    return Registration.model_validate(
        {
            "name": name,
            "fingerprint": fingerprint,
            "settings": fields,
            "platform": {"hostname": "h-" + fingerprint},
            **parts,
        }
    )


async def enrol(store: Store, token: Token, digest: str = "rat1", **fields: object) -> Enrolment:
    return await store.register(wanted(**fields), token, digest, NOW)  # type: ignore[arg-type]


def hello(**fields: object) -> Hello:
    return Hello.model_validate(
        {
            "oldest": 1,
            "newest": 1,
            "installation": "i",
            "session": SESSION,
            "agent_version": "1.0",
            **fields,
        }
    )


async def test_a_new_agent_gets_its_own_token(store: Store) -> None:
    token = await registration_token(store)
    made = await enrol(store, token, labels={"gpu": "1"}, capacity={"default": 8})
    assert (made.changed, made.token_issued, made.replaced) == (True, True, False)
    agent = await store.agent("a")
    assert agent == made.agent
    assert (agent.queues, agent.labels, agent.capacity) == (
        ("default",),
        {"gpu": "1"},
        {"default": 8},
    )
    own = await store.token_by_hash("rat1")
    assert own is not None
    assert (own.kind, own.agent, own.revoked) == ("agent", "a", False)
    assert len(await store.agents()) == 1


async def test_the_same_host_again_changes_nothing(store: Store) -> None:
    token = await registration_token(store, uses=1)
    await enrol(store, token)
    own = await store.token_by_hash("rat1")
    assert own is not None
    again = await enrol(store, own, "unused")
    assert (again.changed, again.token_issued) == (False, False)
    assert await store.token_by_hash("unused") is None
    # With the registration token, too: it costs no use, and the running agent's token stays.
    third = await enrol(store, token, "rat2")
    assert (third.changed, third.token_issued) == (False, True)
    assert [t.revoked for t in await store.tokens("agent")] == [False, False]
    await enrol(store, token, "rat3")
    assert [t.revoked for t in await store.tokens("agent")] == [True, False, False]


async def test_a_name_of_another_host_is_taken(store: Store) -> None:
    token = await registration_token(store)
    await enrol(store, token)
    await store.bump_epoch("a", hello(platform=Platform(hostname="h-f1")), "10.0.0.1", NOW)
    with pytest.raises(NameTaken, match=r"held by another host \(h-f1\).*--replace"):
        await enrol(store, token, "rat2", fingerprint="f2")
    with pytest.raises(Refused, match=r"may not replace agents.*--allow-replace") as caught:
        await enrol(store, token, "rat2", fingerprint="f2", replace=True)
    assert caught.value.code is ErrorCode.FORBIDDEN
    await store.create_queue(QueueCreate(name="x"), NOW)
    other = await registration_token(store, "r2", queues=("x",), allow_replace=True)
    with pytest.raises(Refused, match="may serve the queue 'default'"):
        await enrol(store, other, "rat2", fingerprint="f2", replace=True)
    assert (await store.agent("a")).fingerprint == "f1"
    right = await registration_token(store, "r3", queues=("default", "x"), allow_replace=True)
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    taken = await enrol(store, right, "rat2", fingerprint="f2", replace=True)
    assert told[0].removed_agents == {"a": "another host took over the agent's name"}
    assert list(told[0].revoked.values()) == ["another host took over the agent's name"]
    assert taken.replaced
    assert taken.agent.fingerprint == "f2"
    assert taken.agent.epoch == 1
    assert [t.revoked for t in await store.tokens("agent")] == [True, False]


async def test_registration_tokens_are_used_up(store: Store) -> None:
    token = await registration_token(store, uses=1)
    await enrol(store, token)
    with pytest.raises(Refused, match="as often as it may") as caught:
        await enrol(store, token, "rat2", name="b", fingerprint="f2")
    assert caught.value.code is ErrorCode.USED_TOKEN
    assert [agent.name for agent in await store.agents()] == ["a"]
    await store.revoke(token.id)
    with pytest.raises(Refused, match="revoked"):
        await enrol(store, token, "rat2", name="b", fingerprint="f2")


async def test_a_registration_token_covers_its_queues_only(store: Store) -> None:
    for name in ("x", "y"):
        await store.create_queue(QueueCreate(name=name), NOW)
    token = await registration_token(store, queues=("x",))
    with pytest.raises(Refused, match="does not cover the queue 'y'; it covers: x"):
        await enrol(store, token, queues=["y"])
    assert (await enrol(store, token)).agent.queues == ("x",)
    # Nor does a later hello of that host reach further.
    agent = await store.bump_epoch("a", hello(settings={"queues": ["y", "x"]}), "", NOW)
    assert agent.queues == ("x",)
    with pytest.raises(UnknownQueue):
        await enrol(store, token, queues=["z"])


async def test_an_agents_own_token_widens_nothing(store: Store) -> None:
    for name in ("x", "y"):
        await store.create_queue(QueueCreate(name=name), NOW)
    token = await registration_token(store, queues=("x",), uses=2)
    await enrol(store, token, capacity={"default": 2})
    own = await store.token_by_hash("rat1")
    assert own is not None
    assert own.queues == ("x",)
    with pytest.raises(Refused, match="not registered for the queue 'y', only for: x"):
        await enrol(store, own, queues=["y"])
    with pytest.raises(Refused, match="does not cover the queue 'default'"):
        await enrol(store, token, queues=["default"])
    again = await enrol(store, own, queues=["x"], labels={"trust": "1"}, capacity={"default": 9})
    assert (again.agent.labels, again.agent.capacity) == ({}, {"default": 2})
    wide = await registration_token(store, "wide", queues=("x", "y"))
    wider = await enrol(store, wide, "rat2", queues=["x", "y"], capacity={"default": 9})
    assert (wider.agent.queues, wider.agent.capacity) == (("x", "y"), {"default": 9})


async def test_a_refused_registration_spends_nothing(store: Store) -> None:
    labels = {f"server{number}": "" for number in range(3)}
    token = await registration_token(store, uses=1, labels=labels)
    many = {f"own{number}": "" for number in range(62)}
    with pytest.raises(Refused, match="would have 65; at most 64") as caught:
        await enrol(store, token, labels=many)
    assert caught.value.code is ErrorCode.VALIDATION
    with pytest.raises(Refused):
        await enrol(store, token, queues=["default"], replace=True, name="b", labels=many)
    assert (await store.token(token.id)).uses_left == 1
    assert await store.agents() == []
    made = await enrol(store, token, labels={"own": "1", "server1": "mine"})
    assert made.agent.labels == {**labels, "own": "1"}
    assert (await store.token(token.id)).uses_left == 0


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


async def test_an_agent_token_registers_its_agent_only(store: Store) -> None:
    token = await store.create_token("agent", "rat", "b", NOW, agent="b")
    with pytest.raises(Refused, match="belongs to the agent 'b', not to 'a'"):
        await enrol(store, token, name="a")
    made = await enrol(store, token, name="b")
    assert (made.changed, made.token_issued) == (True, False)


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
