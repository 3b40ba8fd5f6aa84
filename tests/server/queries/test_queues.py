"""Queues as shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from remote_protocol.api.queues import QueueCreate
from remote_protocol.messages import Hello
from remote_protocol.states import AgentState
from remote_server.domain.links import AgentStatus
from remote_server.domain.model import Queue, QueueLoad
from remote_server.queries.queues import queue_views
from remote_server.queries.sources import Sources
from remote_server.slices import SLICE
from remote_server.store import Store
from tests.support.fake_links import FakeLinks
from tests.support.loop_turns import loop_turns
from tests.support.stored import NOW, running, submitted

HELLO = Hello(oldest=1, newest=1, installation="i", session="0" * 26, agent_version="1")


async def test_queues_have_their_load_and_their_agents(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    await store.create_queue(QueueCreate(name="empty", log_retention=60), NOW)
    await store.bump_epoch("a", HELLO, "", NOW)
    await store.bump_epoch("b", HELLO, "", NOW)
    links.statuses["a"] = AgentStatus(AgentState.ONLINE)
    await running(store)
    await submitted(store)
    default, empty = await queue_views(sources, await store.queues())
    assert (default.name, default.queued, default.running) == ("default", 1, 1)
    assert (default.healthy, default.agents, default.agents_online) == (True, ["a", "b"], 1)
    assert (default.oldest_seconds or 0) >= 0
    assert (empty.healthy, empty.oldest_seconds, empty.log_retention) == (False, None, 60)


async def test_others_run_while_agents_of_a_large_fleet_are_counted(links: FakeLinks) -> None:
    names = [f"a{number}" for number in range(SLICE * 4)]
    links.statuses = dict.fromkeys(names, AgentStatus(AgentState.ONLINE))

    async def serving(_: object) -> dict[str, list[str]]:
        return {"q": names}

    async def loads(_: object) -> dict[str, QueueLoad]:
        return {"q": QueueLoad()}

    store: Any = SimpleNamespace(serving=serving, loads=loads)
    sources = Sources(store, links, cast(Any, None), 60.0)
    (view,), turns = await loop_turns(queue_views(sources, [Queue("q", "", False, NOW)]))
    assert view.agents_online == len(names)
    assert turns >= 3
