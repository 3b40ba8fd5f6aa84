"""Artifacts over real WebSockets: whole, after cuts, compared, and nothing unasked."""

from __future__ import annotations

import hashlib
import os

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import encode_artifact
from remote_protocol.limits import MAX_PAYLOAD
from remote_protocol.messages import Artifact, ArtifactAck, ArtifactLost
from tests.support.fake_agent import FakeAgent
from tests.support.live_hub import LiveHub, until

UPLOADING, COMPLETE, FAILED = ArtifactState


def announced(key: AttemptId, data: bytes, number: int = 1) -> Artifact:
    checksum = hashlib.sha256(data).hexdigest()
    return Artifact(
        attempt=key, number=number, name=f"d/f{number}", size=len(data), checksum=checksum
    )


async def finished(place: LiveHub, agent: FakeAgent, artifacts: int = 2) -> AttemptId:
    await agent.hello()
    await place.submit()
    return await agent.run(artifacts=artifacts)


async def send(agent: FakeAgent, key: AttemptId, data: bytes, offset: int = 0) -> None:
    for start in range(offset, len(data), MAX_PAYLOAD):
        await agent.say(encode_artifact(key, 1, start, data[start : start + MAX_PAYLOAD]))


async def answer(agent: FakeAgent, state: ArtifactState) -> ArtifactAck:
    """The next answer that says more than that bytes have come."""
    while True:
        ack = await agent.hear(ArtifactAck)
        if ack.state is state and (ack.again or state is not UPLOADING):
            return ack


async def test_one_arrives_whole(place: LiveHub) -> None:
    data = os.urandom(3 * MAX_PAYLOAD + 5)
    async with place.agent() as agent:
        key = await finished(place, agent)
        await agent.send(announced(key, data))
        assert (await answer(agent, UPLOADING)).offset == 0
        await send(agent, key, data)
        assert (await answer(agent, COMPLETE)).offset == len(data)
        (one,) = (await place.store.artifacts_of(key)).items
        assert one.state is COMPLETE
        assert await place.hub.artifacts.read(key, 1, 0, 1 << 20) == data
        await agent.send(announced(key, data))
        assert (await answer(agent, COMPLETE)).number == 1, "an answer may get lost"
        await agent.send(announced(key, b"", 2))
        assert (await answer(agent, COMPLETE)).number == 2


async def test_after_a_cut_it_goes_on(place: LiveHub) -> None:
    data = os.urandom(2 * MAX_PAYLOAD)
    async with place.agent() as agent:
        key = await finished(place, agent)
        await agent.send(announced(key, data))
        await answer(agent, UPLOADING)
        await send(agent, key, data[:MAX_PAYLOAD])
        assert (await agent.hear(ArtifactAck)).offset == MAX_PAYLOAD
        agent.cut()
    async with place.agent() as agent:
        await agent.hello()
        await agent.send(announced(key, data))
        assert (await answer(agent, UPLOADING)).offset == MAX_PAYLOAD
        await send(agent, key, data, MAX_PAYLOAD)
        await answer(agent, COMPLETE)
    assert await place.hub.artifacts.read(key, 1, 0, 1 << 20) == data


async def test_gaps_and_repetitions(place: LiveHub) -> None:
    data = os.urandom(MAX_PAYLOAD)
    async with place.agent() as agent:
        key = await finished(place, agent)
        await agent.send(announced(key, data))
        await answer(agent, UPLOADING)
        await agent.say(encode_artifact(key, 1, 10, data[10:20]))
        assert (await answer(agent, UPLOADING)).offset == 0
        await agent.say(encode_artifact(key, 1, 0, data[:100]))
        await agent.say(encode_artifact(key, 1, 50, data[50:200]))
        await agent.say(encode_artifact(key, 1, 0, data[:10]))
        for offset in (100, 200, 200):
            assert (await agent.hear(ArtifactAck)).offset == offset
        await send(agent, key, data, 200)
        await answer(agent, COMPLETE)
    assert await place.hub.artifacts.read(key, 1, 0, 1 << 20) == data


async def test_other_bytes_than_announced(place: LiveHub) -> None:
    data = b"right"
    async with place.agent() as agent:
        key = await finished(place, agent)
        await agent.send(announced(key, data))
        await answer(agent, UPLOADING)
        await send(agent, key, b"wrong")
        assert (await answer(agent, UPLOADING)).offset == 0
        assert place.hub.artifacts.length(key, 1) == 0
        await send(agent, key, data)
        await answer(agent, COMPLETE)


async def test_more_bytes_than_announced(place: LiveHub) -> None:
    async with place.agent() as agent:
        key = await finished(place, agent)
        await agent.send(announced(key, b"four"))
        await answer(agent, UPLOADING)
        await send(agent, key, b"four and more")
        assert (await answer(agent, COMPLETE)).offset == 4
    assert await place.hub.artifacts.read(key, 1, 0, 99) == b"four"


async def test_one_that_is_given_up(place: LiveHub) -> None:
    async with place.agent() as agent:
        key = await finished(place, agent)
        await agent.send(announced(key, b"four"))
        await answer(agent, UPLOADING)
        await send(agent, key, b"fo")
        await agent.hear(ArtifactAck)
        await agent.send(ArtifactLost(attempt=key, number=1, name="d/f1", reason="it is gone"))
        assert (await answer(agent, FAILED)).detail == "it is gone"
        assert place.hub.artifacts.length(key, 1) == 0


async def test_what_was_never_given(place: LiveHub) -> None:
    async with place.agent("a") as agent:
        key = await finished(place, agent)
        await agent.send(announced(key, b"mine"))
        await answer(agent, UPLOADING)
        await agent.say(encode_artifact(key, 1, 0, b"mi"))
        assert (await agent.hear(ArtifactAck)).offset == 2
        async with place.agent("b") as rogue:
            await rogue.hello()
            await rogue.say(encode_artifact(key, 1, 2, b"XX"))
            await rogue.say(encode_artifact(key, 7, 0, b"XX"))
            await rogue.send(announced(key, b"evil"))
            assert "does not know" in (await answer(rogue, FAILED)).detail
            lost = ArtifactLost(attempt=key, number=1, name="d/f1", reason="")
            await rogue.send(lost)
            assert "does not know" in (await answer(rogue, FAILED)).detail
            await rogue.beat()
        assert place.hub.artifacts.length(key, 1) == 2, "nobody else has touched it"
        await agent.say(encode_artifact(key, 1, 2, b"ne"))
        await answer(agent, COMPLETE)
    assert await place.hub.artifacts.read(key, 1, 0, 99) == b"mine"


async def test_a_database_that_is_away_answers_nothing(place: LiveHub) -> None:
    async with place.agent() as agent:
        key = await finished(place, agent)
        place.store.down = True
        await agent.send(announced(key, b"four"))
        await agent.beat()
        place.store.down = False
        await agent.send(announced(key, b"four"))
        await answer(agent, UPLOADING)
        await send(agent, key, b"four")
        await answer(agent, COMPLETE)

    async def there() -> bool:
        return bool((await place.store.artifacts_of(key)).items)

    await until(there)
