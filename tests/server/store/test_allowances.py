"""A queue that is made again under its name belongs to nobody who had the former one."""

from __future__ import annotations

import pytest

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.registration import Registration
from remote_protocol.messages import Hello, Settings
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import Token
from remote_server.errors import Refused
from remote_server.store import Store
from tests.support.stored import NOW


@pytest.fixture
async def queues(store: Store) -> Store:
    """With the queue `prod`."""
    await store.create_queue(QueueCreate(name="prod"), NOW)
    return store


async def again(store: Store) -> list[str]:
    """Delete the queue and make another one of its name; the agents that might serve it."""
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    await store.delete_queue("prod")
    changed = sorted(told[0].agents)
    await store.create_queue(QueueCreate(name="prod"), NOW)
    return changed


def wants(*queues: str, name: str = "host") -> Registration:
    return Registration(name=name, fingerprint=name, settings=Settings(queues=list(queues)))


def hello(*queues: str) -> Hello:
    return Hello(
        oldest=1,
        newest=1,
        installation="i",
        session="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        agent_version="1",
        settings=Settings(queues=list(queues)),
    )


async def enrolled(store: Store) -> Token:
    """The token of an agent that may serve `default` and `prod` and serves `default`."""
    first = await store.create_token(
        "registration", "r", "r", NOW, queues=("default", "prod"), uses=1
    )
    await store.register(wants("default", "prod"), first, "digest", NOW)
    token = await store.token_by_hash("digest")
    assert token is not None and token.queues == ("default", "prod")
    await store.bump_epoch("host", hello("default"), "", NOW, token)
    agent = await store.agent("host")
    assert (agent.queues, agent.allowed_queues) == (("default",), ("default", "prod"))
    return token


async def test_an_agent_that_had_the_queue_has_no_claim_to_the_next(queues: Store) -> None:
    token = await enrolled(queues)
    assert await again(queues) == ["host"]
    agent = await queues.bump_epoch("host", hello("default", "prod"), "", NOW, token)
    assert (agent.queues, agent.allowed_queues) == (("default",), ("default",))
    token = await queues.token(token.id)
    assert (token.queues, token.revoked) == (("default",), False)
    with pytest.raises(Refused, match="not registered for the queue 'prod'"):
        await queues.register(wants("default", "prod"), token, "other", NOW)
    assert await again(queues) == []


async def test_without_deletion_it_may_come_back_to_it(queues: Store) -> None:
    token = await enrolled(queues)
    agent = await queues.bump_epoch("host", hello("default", "prod"), "", NOW, token)
    assert agent.queues == ("default", "prod")


async def test_tokens_cover_the_next_queue_no_more(queues: Store) -> None:
    async def made(kind: str, *names: str, agent: str | None = None) -> Token:
        digest = f"{kind}{names}"
        return await queues.create_token(kind, digest, "t", NOW, agent=agent, queues=names, uses=9)

    both = await made("registration", "default", "prod")
    only = await made("registration", "prod")
    everything = await made("registration", ANY)
    usual = await made("registration")
    beforehand = await made("agent", "prod", agent="to-come")
    await again(queues)
    for token, covers, revoked in (
        (both, ("default",), False),
        (only, ("prod",), True),
        (everything, (ANY,), False),
        (usual, (), False),
        (beforehand, ("prod",), True),
    ):
        found = await queues.token(token.id)
        assert (found.queues, found.revoked) == (covers, revoked)
    both = await queues.token(both.id)
    with pytest.raises(Refused, match="does not cover the queue 'prod'"):
        await queues.register(wants("prod"), both, "a", NOW)
    with pytest.raises(Refused, match="revoked"):
        await queues.bump_epoch("to-come", hello("prod"), "", NOW, beforehand)
    await queues.register(wants("prod", name="wide"), everything, "b", NOW)
    assert (await queues.agent("wide")).queues == ("prod",)


async def test_the_token_of_a_registered_agent_stays(queues: Store) -> None:
    """It was given for the queue alone, and an operator gave the agent another one since."""
    token = await queues.create_token(
        "agent", "digest", "host", NOW, agent="host", queues=("prod",)
    )
    await queues.bump_epoch("host", hello("prod"), "", NOW, token)
    await queues.update_agent("host", AgentChange(queues=["default"]))
    await again(queues)
    found = await queues.token(token.id)
    assert (found.queues, found.revoked) == (("default",), False)
