"""What commits mean for links."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from remote_protocol import messages as m
from remote_protocol.api.agents import AgentChange
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.states import EndReason, JobState
from remote_server.domain.change_set import Cancel, ChangeSet
from remote_server.domain.events import CancelWished
from remote_server.domain.model import Agent, Lease
from remote_server.errors import StoreUnavailable
from remote_server.hub import commits as module
from remote_server.hub.link import Link
from tests.support.live_hub import LiveHub


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


async def test_a_new_token_ends_the_link_of_the_former_one(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        await agent.offered()
        await place.store.rotate_token("a", "new digest", time.time())
        assert "replaced by a new one" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.UNREGISTERED
        assert not [said for said in agent.heard if isinstance(said, m.Superseded)]


async def test_a_cancel_in_the_commit_that_assigns_follows_the_offer(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the commit is told before the offer is sent: that does not know of the cancel."""
    assign, cancels = place.store.assign, []

    async def assign_and_cancel(
        pairs: Sequence[tuple[str, str]], now: float, *more: Any
    ) -> Sequence[Lease]:
        for job, _ in pairs:
            asked = place.store.request_cancel(job, "at once", now)
            cancels.append(asyncio.ensure_future(asked))
        return await assign(pairs, now, *more)

    monkeypatch.setattr(place.store, "assign", assign_and_cancel)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.offered()
        assert (await agent.hear(m.Cancel)).attempt == key
        assert (await cancels[0]).state is JobState.ASSIGNED, "it was cancelled while it waited"


class FakeLink:
    """A link whose session holds nothing yet."""

    def __init__(self) -> None:
        self.session = SimpleNamespace(leases={})
        self.told: list[object] = []

    def feed(self, event: object) -> None:
        self.told.append(event)


def test_cancels_whose_offers_never_come_do_not_pile_up() -> None:
    link = FakeLink()
    links = SimpleNamespace(holder=lambda _: link)
    handler = module.CommitHandler(cast(Any, None), cast(Any, links), time.time)
    most = module.MOST_EARLY
    keys = [AttemptId(f"{number:026}", 1) for number in range(most + 2)]
    for key in keys:
        changes = ChangeSet()
        changes.cancels[key] = Cancel("a", EndReason.CANCELLED, f"no {key}")
        handler.committed(changes)
    assert link.told == []
    for key in keys:
        handler.offered(cast(Link, link), key)
    # The oldest ones went: they are told by the next hello.
    wishes = [CancelWished(key, EndReason.CANCELLED, f"no {key}") for key in keys[2:]]
    assert link.told == wishes
    assert len(wishes) == most
    for key in keys:
        handler.offered(cast(Link, link), key)
    assert len(link.told) == most, "each is told once"


async def test_a_lease_that_is_given_up_is_told_by_its_commit(place: LiveHub) -> None:
    """Told later, it would mean what a hello after the commit may have brought back."""
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await place.store.lose(key, "the agent was silent", time.time())
        told = await agent.hear(m.Superseded)
        assert (told.attempt, told.detail) == (key, "the agent was silent")
        assert key not in place.slot().leases


async def test_an_agent_is_told_only_what_differs(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.store.set_wishes("a", time.time(), paused=True)
        assert (await agent.hear(m.SetMode)).desired.paused
        await place.store.set_wishes("a", time.time(), paused=True)
        await place.store.update_agent("a", AgentChange(labels={"gpu": "yes"}))
        told = await agent.hear(m.Configure)
        assert told.assignment.labels == {"gpu": "yes"}
        await agent.beat()
        heard = [type(said) for said in agent.heard]
        assert (heard.count(m.SetMode), heard.count(m.Configure)) == (1, 1)


async def test_an_agent_is_told_after_a_failure_of_the_database(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)
    reads = place.store.agent
    failures = 0

    async def agent_row(name: str) -> Agent:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise StoreUnavailable("the database is away, for this test")
        return await reads(name)

    async with place.agent() as agent:
        await agent.hello()
        place.store.agent = agent_row  # type: ignore[method-assign]
        await place.store.set_wishes("a", time.time(), paused=True)
        assert (await agent.hear(m.SetMode)).desired.paused
