"""An agent that reads slowly, or not at all, costs a bounded time and memory."""

from __future__ import annotations

import pytest

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_server.hub import outbox
from tests.support.live_hub import LiveHub, until


def flood(place: LiveHub, count: int) -> None:
    """Make the hub say `count` long sentences to the agent a."""
    for number in range(count):
        place.hub.lease_ended("a", AttemptId("0" * 26, 1), f"{number} " + "x" * 1_900)


async def test_an_agent_that_reads_nothing_is_let_go(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT", 0.2)
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()
        agent.deaf()
        # More than the buffers of both sockets hold.
        flood(place, 15_000)
        await until(lambda: place.hub.slot("a") is None)
        assert (await other.beat()).seq == 1, "its neighbour notices nothing"
        agent._transport().abort()


async def test_too_many_messages_for_a_slow_agent_end_its_link(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 500)
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT", 0.2)
    async with place.agent() as agent:
        await agent.hello()
        flood(place, 501)
        assert place.hub.slot("a") is None
        assert (await agent.hear(m.Error)).detail == "the agent reads too slowly"
        assert await agent.closed() == CloseCode.TRY_AGAIN
