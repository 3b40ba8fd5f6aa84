"""Agents as shown."""

from __future__ import annotations

from remote_protocol.messages import Condition, Hello
from remote_protocol.states import AgentState
from remote_server.domain.links import AgentStatus
from remote_server.queries.agents import agent_views
from remote_server.queries.sources import Sources
from remote_server.queries.views import when
from remote_server.store import Store
from tests.support.fake_links import FakeLinks
from tests.support.stored import NOW, running

HELLO = Hello(oldest=1, newest=1, installation="i", session="0" * 26, agent_version="1")


async def test_an_agent_without_a_link_is_shown_from_its_row(
    sources: Sources, store: Store
) -> None:
    await store.bump_epoch("a", HELLO, "192.0.2.1", NOW)
    key = await running(store)
    (view,) = await agent_views(sources, [await store.agent("a")])
    assert (view.state, view.address) == (AgentState.OFFLINE, "192.0.2.1")
    assert (view.running, view.jobs) == (1, [key.job])
    assert (view.connected_at, view.warning) == (when(NOW), "")


async def test_what_its_link_knows_is_newer(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    await store.bump_epoch("a", HELLO, "", NOW)
    full = Condition(accepting=False, reason="the disk is full")
    links.connect("a")
    links.statuses["a"] = AgentStatus(AgentState.ONLINE, None, NOW + 9, full, 4711, "look")
    (view,) = await agent_views(sources, [await store.agent("a")])
    assert (view.state, view.condition, view.spool_bytes) == (AgentState.ONLINE, full, 4711)
    assert (view.last_seen_at, view.warning, view.running) == (when(NOW + 9), "look", 0)
