"""Queues and agents of which only some exist."""

from __future__ import annotations

import pytest

from remote_server.errors import NotFound, UnknownAgent, UnknownQueue
from remote_server.queries.limited_store import LimitedStore
from remote_server.store import Store
from tests.support.stored import offered, spec, submitted


async def test_other_queues_are_not_there(store: Store, mine: LimitedStore) -> None:
    await submitted(store, queue="a")
    await submitted(store, queue="b")
    assert [queue.name for queue in await mine.queues()] == ["a", "c"]
    assert (await mine.queue("c")).name == "c"
    for name in ("b", "nowhere"):
        with pytest.raises(NotFound):
            await mine.queue(name)
    loads = await mine.loads(["a", "b"])
    assert (loads["a"].queued, loads["b"].queued) == (1, 0)


async def test_agents_are_those_of_its_queues(store: Store, mine: LimitedStore) -> None:
    assert [agent.name for agent in await mine.agents()] == ["of-a", "of-ab"]
    assert [agent.name for agent in await mine.agents("of-a", 5)] == ["of-ab"]
    assert [row.queues for row in await mine.fleet()] == [("a",), ("a",)]
    assert (await mine.agent("of-ab")).queues == ("a",)
    assert await mine.existing({"of-a", "of-b", "zz"}) == {"of-a"}
    assert await mine.serving(["a", "b"]) == {"a": ["of-a", "of-ab"], "b": []}
    own = (await offered(store, "of-ab", queue="a")).key
    await offered(store, "of-ab", queue="b")
    assert sorted(key.job for key in await mine.leases_of("of-ab")) == ["", own.job]
    with pytest.raises(NotFound):
        await mine.agent("of-b")


async def test_a_name_that_is_not_theirs_is_refused_with_those_that_are(
    mine: LimitedStore,
) -> None:
    jobs = [spec(queue="a"), spec(queue="b"), spec(queue="a", agent="of-b")]
    queue, agent = await mine._strangers(jobs)
    assert isinstance(queue, UnknownQueue) and "a, c" in str(queue)
    assert isinstance(agent, UnknownAgent) and "of-a, of-ab" in str(agent)
    assert await mine._strangers(jobs[:1]) == []
