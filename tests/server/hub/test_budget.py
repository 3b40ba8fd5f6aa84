"""Budgets of links: what is allowed at once, what over time, and for how long they are exceeded."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from remote_protocol import messages as m
from remote_protocol.errors import CloseCode
from remote_server.hub import budget
from remote_server.hub.budget import MAX_SLOWED, Bucket, Budget, Rate, Rates
from tests.support.live_hub import LiveHub


def test_a_bucket_gives_at_once_and_then_over_time() -> None:
    bucket = Bucket(Rate(10, 5), 0.0)
    assert [bucket.spend(1, 0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.spend(1, 0.0) == pytest.approx(0.1)
    assert bucket.spend(1, 0.2) == 0.0
    assert bucket.spend(4, 10.0) == 0.0, "no more than the burst is saved"
    assert bucket.spend(2, 10.0) > 0


def test_each_kind_has_a_budget_of_its_own() -> None:
    rates = Rates(Rate(100, 50), Rate(1, 2), Rate(1000, 5000), Rate(5, 3), Rate(1, 2))
    spent = Budget(rates, 0.0)
    assert [spent.message("heartbeat", 10, 0.0) for _ in range(2)] == [0.0, 0.0]
    assert spent.message("heartbeat", 10, 0.0) > 0.5
    assert spent.message("started", 10, 0.0) == 0.0
    assert [spent.message("own_log", 10, 0.0) for _ in range(2)] == [0.0, 0.0]
    assert spent.message("own_log", 10, 0.0) > 0.5
    assert spent.message("ended", 6000, 0.0) > 1
    assert [spent.chunk(0.0) for _ in range(3)] == [0.0] * 3
    assert spent.chunk(0.0) > 0


def test_only_who_goes_on_is_let_go() -> None:
    rates = Rates(heartbeats=Rate(1, 1))
    spent = Budget(rates, 0.0)
    now = 0.0
    for _ in range(int(MAX_SLOWED) + 5):
        assert not spent.spent(now) or now > MAX_SLOWED
        now += spent.message("heartbeat", 1, now)
    assert spent.spent(now)
    calm = Budget(rates, 0.0)
    for burst in range(100):
        calm.message("heartbeat", 1, burst * 10.0)
        calm.message("heartbeat", 1, burst * 10.0)
        assert not calm.spent(burst * 10.0)


async def test_an_agent_that_floods_is_slowed_and_named_and_then_let_go(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(budget, "MAX_SLOWED", 0.3)
    place.hub.terms = replace(place.hub.terms, rates=Rates(heartbeats=Rate(50, 10)))
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()

        async def flood() -> None:
            for number in range(1, 1_000_000):
                await agent.send(m.Heartbeat(seq=number))

        flooding = asyncio.ensure_future(flood())
        assert await agent.closed() == CloseCode.BAD_MESSAGE
        flooding.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await flooding
        await other.beat()
    said = [line for line in capsys.readouterr().out.splitlines() if "more than it may" in line]
    assert 1 <= len(said) <= 5, "now and then, not once for each message"
    assert all("agent=a" in line for line in said)
