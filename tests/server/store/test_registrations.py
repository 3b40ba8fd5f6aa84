"""Enrolment of agents, on a real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.registration import Registration
from remote_protocol.errors import ErrorCode
from remote_protocol.messages import Hello, Platform, Settings
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Token
from remote_server.errors import NameTaken, Refused, UnknownQueue
from remote_server.store import Store
from remote_server.store.registrations import Enrolment
from tests.support.stored import NOW

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
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    made = await enrol(store, token, labels={"gpu": "1"}, capacity={"default": 8})
    assert (made.changed, made.token_issued) == (True, True)
    assert not told[0].removed_agents
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


async def test_an_agent_token_registers_its_agent_only(store: Store) -> None:
    token = await store.create_token("agent", "rat", "b", NOW, agent="b")
    with pytest.raises(Refused, match="belongs to the agent 'b', not to 'a'"):
        await enrol(store, token, name="a")
    made = await enrol(store, token, name="b")
    assert (made.changed, made.token_issued) == (True, False)


async def _nothing(_: Store) -> None:
    pass


async def _hello(store: Store) -> None:
    await store.bump_epoch("a", hello(settings={"queues": ["y", "x"]}), "", NOW + 1)


async def _reload(store: Store) -> None:
    await store.announce("a", Settings(queues=["y", "x"]))
    await store.announce("a", Settings(queues=["y"]))


async def _again_by_its_own_token(store: Store) -> None:
    own = await store.token_by_hash("rat1")
    assert own is not None
    with pytest.raises(Refused):
        await enrol(store, own, "rat2", queues=["x", "y"])


async def _again_by_a_token_of_another_queue(store: Store) -> None:
    token = await registration_token(store, "another", queues=("z",))
    with pytest.raises(Refused):
        await enrol(store, token, "rat2", queues=["y"])
    await enrol(store, token, "rat2")


async def _another_host_takes_the_name(store: Store) -> None:
    token = await registration_token(store, "narrow", queues=("x",), allow_replace=True)
    with pytest.raises(Refused):
        await enrol(store, token, "rat2", fingerprint="f2", replace=True, queues=["x", "y"])
    await enrol(store, token, "rat2", fingerprint="f2", replace=True)


async def _a_token_made_beforehand(store: Store) -> None:
    """For a name that exists: it opens what it covers to a new agent only."""
    token = await store.create_token("agent", "made", "a", NOW, agent="a", queues=("x", "y"))
    await enrol(store, token, "rat2", queues=["x", "y"])
    await store.bump_epoch("a", hello(settings={"queues": ["x", "y"]}), "", NOW + 1, token)


async def _after_an_edit_took_it_away(store: Store) -> None:
    """Its own token was made when it was allowed."""
    wide = await registration_token(store, "wide", queues=("x", "y"))
    await enrol(store, wide, "rat2", queues=["x", "y"])
    await store.update_agent("a", AgentChange(queues=["x"]))
    own = await store.token_by_hash("rat2")
    assert own is not None
    await enrol(store, own, "rat3", queues=["x", "y"])
    await store.bump_epoch("a", hello(settings={"queues": ["x", "y"]}), "", NOW + 1, own)
    await store.announce("a", Settings(queues=["y", "x"]))


async def _with_a_rotated_token(store: Store) -> None:
    await store.rotate_token("a", "rotated", NOW)
    own = await store.token_by_hash("rotated")
    assert own is not None
    with pytest.raises(Refused):
        await enrol(store, own, "rat2", queues=["y"])


@pytest.mark.parametrize(
    "way",
    [
        _nothing,
        _hello,
        _reload,
        _again_by_its_own_token,
        _again_by_a_token_of_another_queue,
        _another_host_takes_the_name,
        _a_token_made_beforehand,
        _after_an_edit_took_it_away,
        _with_a_rotated_token,
    ],
    ids=lambda way: way.__name__.strip("_"),
)
async def test_no_way_leads_to_a_queue_that_was_not_allowed(
    store: Store, way: Callable[[Store], Awaitable[None]]
) -> None:
    for name in ("x", "y", "z"):
        await store.create_queue(QueueCreate(name=name), NOW)
    await enrol(store, await registration_token(store, queues=("x",)))
    await way(store)
    agent = await store.agent("a")
    assert agent.queues == ("x",) and "y" not in agent.allowed_queues
    assert (await store.serving(["y"]))["y"] == []
