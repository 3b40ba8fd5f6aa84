"""Links end with their tokens."""

from __future__ import annotations

import time

from remote_protocol import messages as m
from remote_protocol.errors import CloseCode
from tests.support.live_hub import LiveHub


async def test_an_expired_token_ends_its_link(place: LiveHub) -> None:
    token = await place.store.create_token(
        "agent", "brief", "brief", time.time(), agent="brief", expires_at=time.time() + 0.5
    )
    assert token.expires_at is not None
    place.tokens["brief"] = token
    async with place.agent("brief") as agent, place.agent() as other:
        await agent.hello()
        await other.hello()
        assert "expired" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.UNREGISTERED
        assert place.hub.slot("brief") is None
        job = await place.submit()
        assert (await other.offered()).job == job


async def test_a_revoked_token_ends_its_link_whoever_revokes_it(place: LiveHub) -> None:
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()
        await place.store.revoke((await place.token("a")).id)
        assert "revoked" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.UNREGISTERED
        await other.beat()


async def test_tokens_of_others_end_no_link(place: LiveHub) -> None:
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()
        for number in range(20):
            await place.store.create_token(
                "agent", f"digest {number}", f"c{number}", time.time(), agent=f"c{number}"
            )
        await place.store.revoke((await place.token("b")).id)
        assert await other.closed() == CloseCode.UNREGISTERED
        await agent.beat()
