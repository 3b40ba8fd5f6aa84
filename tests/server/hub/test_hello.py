"""Hellos: bounded work, nothing beyond what is allowed, no way back for a deleted agent."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from remote_protocol import messages as m
from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.ids import make_ulid
from remote_protocol.limits import MAX_PART
from remote_protocol.messages import Phase, Verdict
from remote_protocol.parts import parts
from remote_protocol.states import AttemptState
from remote_server.hub import hello as module
from remote_server.hub.budget import Rate
from remote_server.logs.archived import ArchivedLogs, name_of
from tests.support.fake_agent import holds
from tests.support.live_hub import LiveHub, until
from tests.support.memory_logs import MemoryArchive


async def test_a_deleted_agent_does_not_come_back_by_a_hello_on_its_way(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The hub has not heard of the commit yet.
    monkeypatch.setattr(place.hub._commits, "committed", lambda changes: None)
    async with place.agent() as first:
        await first.hello()
    place.store.gate = asyncio.Event()
    async with place.agent() as agent:
        await agent.send(
            m.Hello(oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x")
        )
        await until(lambda: place.hub._hellos._locks)
        await place.store.delete_agent("a", time.time())
        place.store.gate.set()
        assert "revoked" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.UNREGISTERED
    assert [agent.name for agent in await place.store.agents()] == []


async def test_a_hello_waits_for_no_archive_unless_the_database_was_restored(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = MemoryArchive()
    monkeypatch.setattr(place.logs, "archived", ArchivedLogs(archive))
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        # Nothing of its log has come, so that no file says that it is not packed.
        attempt = await agent.offered()
        await agent.accept(attempt)
    # As after a restart of the server.
    monkeypatch.setattr(place.logs, "_oldest_new", "7" + "Z" * 25)
    archive.gate.clear()
    async with place.agent() as agent:
        welcome = await agent.hello(holds(attempt, Phase.RUNNING))
        assert [ruling.verdict for ruling in welcome.rulings] == [Verdict.KEEP]
    assert archive.asked == []
    archive.gate.set()
    place.store.restored_since = 0.0
    async with place.agent() as agent:
        await agent.hello(holds(attempt, Phase.RUNNING))
    assert archive.asked == [("size", name_of(attempt))]


async def test_a_hello_asks_for_no_more_than_is_allowed(place: LiveHub) -> None:
    for name in ("prod", "dev"):
        await place.store.create_queue(QueueCreate(name=name), time.time())
    wide = m.Settings(queues=["default"], labels={"os": "linux"}, capacity={"default": 2})
    async with place.agent() as agent:
        await agent.hello(settings=wide)
    more = m.Settings(
        queues=["default", "prod", "nowhere"],
        labels={"os": "linux", "trust": "high"},
        capacity={"default": 50, "prod": 9},
    )
    async with place.agent() as agent:
        welcome = await agent.hello(settings=more)
        assert welcome.assignment == m.Assignment(
            queues=["default"], labels={"os": "linux"}, capacity={"default": 2}
        )
        for word in ("'prod'", "'nowhere'", "trust=high", "default=50 (2 is allowed)", "prod=9"):
            assert word in welcome.warning
            assert word in place.hub.status("a").warning
        secret = await place.submit(queue="prod", env={"KEY": "1"})
        await place.submit()
        first = await agent.offered()
        assert first.job != secret
        await agent.accept(first)
        assert place.slot().queues == {"default"}
        # On the same link, too.
        again = await agent.hello(
            holds(first, Phase.RUNNING), settings=more.model_copy(update={"queues": ["prod"]})
        )
        assert again.assignment.queues == ["default"]
        await place.store.update_agent("a", AgentChange(queues=["default", "prod"]))
        assert (await agent.hear(m.Configure)).assignment.queues == ["default", "prod"]
        assert (await agent.offered()).job == secret
    async with place.agent() as agent:
        narrow = await agent.hello(settings=m.Settings(queues=["default"]))
        assert narrow.assignment.queues == ["default"]
        assert narrow.warning == ""


async def test_an_agent_that_says_hello_all_the_time_is_slowed(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELLOS", Rate(0.01, 3))
    for _ in range(3):
        async with place.agent() as agent:
            await agent.hello()
    async with place.agent() as agent, place.agent("b") as other:
        await agent.send(
            m.Hello(oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x")
        )
        assert "too often" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.TRY_AGAIN
        await other.hello()
    assert (await place.store.agent("a")).epoch == 3


async def test_a_long_inventory_comes_in_parts_and_holds_up_nobody(place: LiveHub) -> None:
    claims = [holds(AttemptId(make_ulid(n, bytes(10)), 1), Phase.RUNNING) for n in range(5_000)]
    pieces = [*parts(claims, MAX_PART)]
    async with place.agent() as agent, place.agent("b") as other:
        await other.hello()
        hello = m.Hello(
            oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x"
        )
        (first, rest), *more = pieces
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        await agent.send(hello.model_copy(update={"inventory": first, "following": rest}))
        for items, left in more:
            await agent.send(m.Inventory(items=items, following=left))
        welcome = await agent.hear(m.Welcome)
        counting.cancel()
        assert {ruling.verdict for ruling in welcome.rulings} == {Verdict.SUPERSEDED}
        assert len(welcome.rulings) == 5_000
        assert turns > 5_000 / module.SLICE
        await other.beat()


async def test_parts_that_do_not_follow_each_other_close_the_link(place: LiveHub) -> None:
    hello = m.Hello(oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x")
    async with place.agent() as agent:
        await agent.send(hello.model_copy(update={"following": 5}))
        assert await agent.closed() == CloseCode.BAD_MESSAGE
    async with place.agent() as agent:
        await agent.send(m.Inventory(items=[holds(AttemptId("0" * 26, 1), Phase.RUNNING)]))
        assert await agent.closed() == CloseCode.BAD_MESSAGE


@pytest.mark.parametrize("before", [0, 1, 2, 3])
async def test_what_is_committed_while_a_hello_is_looked_up_is_not_overlooked(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """Reads of a database on another thread let others run: what they commit is either in the
    answer, or told after it."""
    async with place.agent() as agent:
        await agent.hello()
        job = await place.submit()
        key = await agent.start()
        await place.reaches(key, AttemptState.RUNNING)
    await until(lambda: place.hub.slot("a") is None)
    real = place.store.reconcile

    async def busy(*given: Any) -> None:
        changing = asyncio.ensure_future(place.store.request_cancel(job, "enough", time.time()))
        for _ in range(before):
            await asyncio.sleep(0)
        await real(*given)
        await changing

    monkeypatch.setattr(place.store, "reconcile", busy)
    async with place.agent() as agent:
        welcome = await agent.hello(holds(key, Phase.RUNNING))
        assert [ruling.verdict for ruling in welcome.rulings] == [Verdict.KEEP]
        assert (await agent.hear(m.Cancel)).attempt == key


async def test_an_end_that_is_told_before_the_answer_is_in_it(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await place.reaches(key, AttemptState.RUNNING)
    await until(lambda: place.hub.slot("a") is None)
    real = place.store.reconcile

    async def late(*given: Any) -> None:
        await place.store.lose(key, "given up", time.time())
        place.hub.lease_ended("a", key, "given up")
        await real(*given)

    monkeypatch.setattr(place.store, "reconcile", late)
    async with place.agent() as agent:
        welcome = await agent.hello(holds(key, Phase.RUNNING))
        assert [ruling.verdict for ruling in welcome.rulings] == [Verdict.SUPERSEDED]
