"""Live links for somebody who is limited to some queues."""

from __future__ import annotations

from remote_protocol.states import AgentState
from remote_server.domain.links import AgentStatus
from remote_server.domain.queue_limits import QueueLimits
from remote_server.queries.limited_agents import LimitedAgents
from tests.support.fake_links import FakeLinks


def test_agents_of_other_queues_are_not_connected(links: FakeLinks) -> None:
    links.connect("both", ("a", "b"))
    links.connect("other", ("b",))
    links.statuses["both"] = AgentStatus(AgentState.ONLINE, warning="its host asks for queue 'b'")
    agents = LimitedAgents(links, QueueLimits(frozenset({"a"})))
    slot = agents.slot("both")
    assert slot is not None and slot.queues == {"a"}
    assert agents.slot("other") is None and agents.slot("nobody") is None
    assert agents.status("both") == AgentStatus(AgentState.ONLINE)
    assert agents.state_of("both") is AgentState.ONLINE
    assert list(agents.names()) == [] and list(agents.avoided("job")) == []
