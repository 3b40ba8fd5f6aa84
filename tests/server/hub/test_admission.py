"""Two installations want one name: only one of them is alive, or was here first."""

from __future__ import annotations

import asyncio
import json

import pytest

from remote_protocol import messages as m
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Phase, Verdict
from remote_protocol.states import AttemptState
from tests.support.fake_agent import FakeAgent, holds
from tests.support.live_hub import LiveHub, until

HELLO = {"type": "hello", "oldest": 1, "newest": 1, "session": "0" * 26, "agent_version": "x"}


async def ask(agent: FakeAgent, installation: str) -> CloseCode:
    """Say hello to somebody who does not want to hear it; why the link was closed."""
    with pytest.raises(AssertionError):
        await agent.hello(installation=installation)
    return CloseCode(agent.socket.close_code or 0)


async def test_a_copy_is_refused_while_the_first_one_lives(place: LiveHub) -> None:
    async with place.agent() as first:
        await first.hello(installation="one")
        await place.submit()
        key = await first.start()
        async with place.agent() as copy:
            refused = asyncio.ensure_future(ask(copy, "two"))
            await first.hear(m.Resync)
            assert not refused.done(), "it may be dead"
            welcome = await first.hello(holds(key, Phase.RUNNING), installation="one")
            assert [said.verdict for said in welcome.rulings] == [Verdict.KEEP]
            assert await refused is CloseCode.COPIED
        assert (await place.attempt(key)).state is AttemptState.RUNNING
        await first.finish(key)


async def test_a_holder_that_is_dead_is_not_waited_for(place: LiveHub) -> None:
    async with place.agent() as first:
        await first.hello(installation="one")
        async with place.agent() as second:
            entered = asyncio.ensure_future(second.hello(installation="two"))
            await first.hear(m.Resync)
            # Nothing comes any more: stale by its clock.
            place.late += 2.5 * place.hub.terms.heartbeat_interval
            assert (await entered).epoch == 2
            await first.hear(m.Error)
            assert (await place.store.agent("a")).installation == "two"


async def test_the_same_installation_comes_back_at_once(place: LiveHub) -> None:
    async with place.agent() as first:
        await first.hello(installation="one")
        async with place.agent() as second:
            assert (await second.hello(installation="one")).epoch == 2


async def test_a_copy_cannot_say_nothing_where_a_name_was_said(place: LiveHub) -> None:
    async with place.agent() as holder:
        await holder.hello(installation="one")
        for silent in (HELLO, HELLO | {"installation": ""}):
            async with place.agent() as copy:
                await copy.say(json.dumps(silent))
                assert await copy.closed() == CloseCode.BAD_MESSAGE
        assert (await holder.beat()).epoch == 1
    assert (await place.store.agent("a")).epoch == 1


@pytest.mark.parametrize("goodbye", [False, True])
async def test_a_holder_that_vanished_has_a_while_to_come_back(
    place: LiveHub, goodbye: bool
) -> None:
    async with place.agent() as first:
        await first.hello(installation="one")
        if goodbye:
            await first.send(m.Goodbye(reason="stopped"))
            await first.beat()
    await until(lambda: place.hub.holder("a") is None)
    if not goodbye:
        async with place.agent() as second:
            assert await ask(second, "two") is CloseCode.TRY_AGAIN
        place.late += 3 * place.hub.terms.heartbeat_interval
    async with place.agent() as second:
        assert (await second.hello(installation="two")).epoch == 2


async def test_after_a_start_of_the_server_the_holder_is_waited_for(place: LiveHub) -> None:
    await place.store.bump_epoch(
        "a", m.Hello(oldest=1, newest=1, session="0" * 26, agent_version="", installation="one"),
        "192.0.2.1", 1.0,
    )  # fmt: skip
    async with place.agent() as copy:
        assert await ask(copy, "two") is CloseCode.TRY_AGAIN
    async with place.agent() as holder:
        assert (await holder.hello(installation="one")).epoch == 2
