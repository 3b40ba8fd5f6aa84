"""Agents that refuse what they are offered, against a real hub, dispatcher and database."""

from __future__ import annotations

import asyncio
import time

import pytest

from remote_protocol import messages as m
from remote_protocol.states import JobState
from remote_server.hub import agent_status as module
from tests.support.fake_agent import FakeAgent
from tests.support.live_hub import LiveHub, until


async def refuse_all(agent: FakeAgent, seen: list[m.Offer]) -> None:
    """Refuse every offer as soon as it comes."""
    while True:
        offer = await agent.hear(m.Offer)
        seen.append(offer)
        await agent.send(
            m.Refuse(
                attempt=offer.attempt,
                serial=offer.serial,
                reason=m.Refusal.DISK,
                detail="File name too long",
            )
        )


async def test_who_refuses_everything_turns_no_queue_round_and_is_named(place: LiveHub) -> None:
    async with place.agent("rogue") as rogue:
        await rogue.hello()
        seen: list[m.Offer] = []
        refusing = asyncio.ensure_future(refuse_all(rogue, seen))
        jobs = [await place.submit() for _ in range(20)]
        await until(lambda: place.hub.status("rogue").warning.endswith("File name too long"))
        slot = place.slot("rogue")
        assert not slot.eligible
        assert "gives back what it is offered" in slot.reason
        begun = len(seen)
        await asyncio.sleep(0.5)
        # Until its time is over, it gets nothing: it had thousands of offers in that time.
        assert len(seen) - begun <= slot.capacity["default"]
        assert await place.store.last_seq() < 400
        refused = [job for job in [await place.job(job) for job in jobs] if job.refusals]
        assert refused and all("File name too long" in job.refusal for job in refused)
        assert {job.state for job in refused} <= {JobState.QUEUED, JobState.ASSIGNED}
        # An honest agent gets all of them, as soon as none of them waits.
        place.late += 3600
        async with place.agent("honest") as honest:
            await honest.hello()
            for _ in jobs:
                key = await honest.offered()
                await honest.accept(key)
                await honest.finish(key)
        for job in jobs:
            await place.job_reaches(job, JobState.SUCCEEDED)
        refusing.cancel()


async def test_a_job_that_is_refused_goes_to_another_agent(place: LiveHub) -> None:
    async with place.agent("a") as one, place.agent("b") as other:
        await one.hello()
        job = await place.submit()
        offer = await one.hear(m.Offer)
        await other.hello()
        await one.send(m.Refuse(attempt=offer.attempt, serial=offer.serial, reason=m.Refusal.DISK))
        key = await other.offered()
        assert key.job == job
        assert "a" in place.hub.avoided(job)
        await other.accept(key)
        await until(lambda: not place.hub.avoided(job))
        await other.finish(key)
        assert (await place.job(job)).state is JobState.SUCCEEDED


async def test_an_agent_that_took_a_job_after_a_refusal_is_not_named(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello(agent_version=m.__name__)
        await place.submit()
        begun = time.monotonic()
        offer = await agent.hear(m.Offer)
        await agent.send(
            m.Refuse(attempt=offer.attempt, serial=offer.serial, reason=m.Refusal.PAUSED)
        )
        key = await agent.offered()
        assert time.monotonic() - begun >= 0.9, "not at once"
        await agent.accept(key)
        await agent.finish(key)
        assert "gives back" not in place.hub.status("a").warning


async def test_an_agent_that_holds_all_it_may_is_offered_nothing_more(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LEASES", 1)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.offered()
        await agent.accept(key)
        assert place.slot().reason == "it holds as many attempts as one agent may"
        await agent.finish(key)
        await until(lambda: place.slot().eligible)
