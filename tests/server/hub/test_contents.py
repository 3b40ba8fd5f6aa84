"""Contents over real WebSockets: what an attempt names, by ranges, and nothing else."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import ULID_ENTROPY, make_ulid
from remote_protocol.limits import MAX_CONTENT_PART, MAX_PAYLOAD
from remote_protocol.messages import Accept, Confirm, ContentLost, Offer, ReadContent
from remote_server.contents.ports import PartKey
from remote_server.domain.links import Fetching
from remote_server.domain.model import SYSTEM
from remote_server.hub.contents import FRESH
from tests.support.fake_agent import FakeAgent
from tests.support.live_hub import LiveHub, until

DATA = os.urandom(MAX_CONTENT_PART + 5)
DIGEST = hashlib.sha256(DATA).hexdigest()
FILES: list[dict[str, Any]] = [
    {"path": "f", "digest": DIGEST, "size": len(DATA)},
    {"path": "g", "digest": DIGEST, "size": len(DATA)},
]


async def keep(place: LiveHub, data: bytes = DATA) -> None:
    key = PartKey(hashlib.sha256(data).hexdigest(), make_ulid(1, bytes(ULID_ENTROPY)))
    place.hub.contents.append(key, 0, memoryview(data))
    await place.hub.contents.finish(key)
    await place.store.keep_content(key.digest, len(data), 1.0, by=SYSTEM)


async def accepted(place: LiveHub, agent: FakeAgent, **fields: Any) -> AttemptId:
    await agent.hello()
    await place.submit(**fields)
    offer = await agent.hear(Offer)
    await agent.send(Accept(attempt=offer.attempt, serial=offer.serial))
    await agent.hear(Confirm)
    return offer.attempt


async def pieces(agent: FakeAgent, size: int) -> bytes:
    """So many bytes, from where the first piece begins, without a gap."""
    while sum(len(one.payload) for one in agent.contents) < size:
        await agent._frame()
    found, agent.contents = agent.contents, []
    at = found[0].offset
    for one in found:
        assert one.offset == at and len(one.payload) <= MAX_PAYLOAD
        at += len(one.payload)
    return b"".join(bytes(one.payload) for one in found)


async def test_ranges(place: LiveHub) -> None:
    await keep(place)
    async with place.agent() as agent:
        key = await accepted(place, agent, files=FILES)
        ask = ReadContent(attempt=key, number=1, offset=0, size=MAX_CONTENT_PART)
        await agent.send(ask)
        await agent.send(ask.model_copy(update={"offset": MAX_CONTENT_PART}))
        assert await pieces(agent, len(DATA)) == DATA
        await agent.send(ask.model_copy(update={"offset": len(DATA)}))
        await agent.send(ask.model_copy(update={"offset": 7, "size": 3}))
        assert await pieces(agent, 3) == DATA[7:10]


async def test_how_far_it_is(place: LiveHub) -> None:
    await keep(place)
    async with place.agent() as agent:
        key = await accepted(place, agent, files=FILES)
        assert place.hub.fetching("a", key) is None
        await agent.send(ReadContent(attempt=key, number=1, offset=500, size=0))
        await until(lambda: place.hub.fetching("a", key))
        found = place.hub.fetching("a", key)
        assert found == Fetching(500, len(DATA)), "a content that is named twice comes once"
        assert place.hub.fetching("a", AttemptId(key.job, 2)) is None
        assert place.hub.fetching("b", key) is None
        assert FRESH > 15, "agents say it more often"


async def test_what_an_attempt_does_not_name(place: LiveHub) -> None:
    await keep(place)
    async with place.agent() as agent:
        key = await accepted(place, agent)
        for other in (key, AttemptId(key.job, 7), AttemptId("01KADVTZ7WSMA11ESTSMA11EST", 1)):
            await agent.send(ReadContent(attempt=other, number=1, offset=0, size=10))
        await place.submit(files=FILES)
        offer = await agent.hear(Offer)
        # Nothing before the acceptance is committed.
        await agent.send(ReadContent(attempt=offer.attempt, number=1, offset=0, size=10))
        await agent.send(Accept(attempt=offer.attempt, serial=offer.serial))
        await agent.hear(Confirm)
        assert agent.contents == []
        await agent.send(ReadContent(attempt=offer.attempt, number=2, offset=0, size=10))
        lost = await agent.hear(ContentLost)
        assert (lost.number, lost.reason) == (2, "the job names no such file")
        await agent.send(ReadContent(attempt=offer.attempt, number=1, offset=0, size=10))
        assert await pieces(agent, 10) == DATA[:10]


async def test_what_is_gone(place: LiveHub) -> None:
    await keep(place)
    async with place.agent() as agent:
        key = await accepted(place, agent, files=FILES)
        await place.hub.contents.delete(DIGEST)
        await agent.send(ReadContent(attempt=key, number=1, offset=0, size=10))
        lost = await agent.hear(ContentLost)
        assert "submit the job again, with its files" in lost.reason
