"""`remote_server.hub.agent_status`: what people are told of an agent beyond its row."""

from __future__ import annotations

from remote_protocol.states import AgentState
from remote_server.domain.model import Clock
from remote_server.hub.agent_status import Seen, status_of

CLOCK = Clock(lambda: 1_700_000_000.0, lambda: 500.0)


def test_an_agent_without_a_link_is_silent_since_it_was_heard() -> None:
    status = status_of(None, Seen(AgentState.OFFLINE, 440.0, 440.0, ""), CLOCK)
    assert status.silence == 60.0
    assert status.seen_at == 1_700_000_000.0 - 60.0
    assert (status.condition, status.spool_bytes, status.warning) == (None, 0, "")


def test_one_that_was_not_heard_is_silent_since_the_server_started() -> None:
    status = status_of(None, Seen(AgentState.OFFLINE, 100.0, None, ""), CLOCK)
    assert status.silence == 400.0
    assert status.seen_at is None


def test_one_that_is_online_is_not_silent() -> None:
    assert status_of(None, Seen(AgentState.ONLINE, 499.0, 499.0, ""), CLOCK).silence is None
