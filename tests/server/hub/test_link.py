"""`remote_server.hub.link` through real WebSockets: reports, logs, bad peers, full disks."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

import aiohttp
import pytest
from structlog.testing import LogCapture

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import decode_from_agent, decode_from_server, encode, messages_of
from remote_protocol.errors import CloseCode
from remote_protocol.limits import MAX_CHUNK_FRAME, MAX_PAYLOAD
from remote_protocol.messages import Phase
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.changes import Accepted, Finished, Running
from remote_server.hub import link as module
from tests.support.fake_agent import FakeAgent, cri, ended, holds
from tests.support.frames import encode_chunk
from tests.support.live_hub import LiveHub, until

LOG = cri(b"one\ntwo\nthree\n" * 500)


async def test_a_job_from_offer_to_settled(place: LiveHub) -> None:
    async with place.agent() as agent:
        welcome = await agent.hello()
        assert welcome.agent == "a"
        assert welcome.epoch == 1
        assert welcome.rulings == []
        job = await place.submit(command=["echo", "hi"])
        key = await agent.run(LOG)
        assert key == (job, 1)
        found = await place.job(key)
        assert found.state is JobState.SUCCEEDED
        assert found.exit_code == 0
        attempt = await place.attempt(key)
        assert (attempt.log_size, attempt.log_complete) == (len(LOG), True)
        assert place.log_file(key).read_bytes() == LOG
        assert place.store.recorded[0] == Accepted(key, first=True)
        assert isinstance(place.store.recorded[1], Running)
        assert isinstance(place.store.recorded[2], Finished)


async def test_messages_of_a_frame_are_heard_in_order_and_answered_by_one(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        beats = [encode(m.Heartbeat(seq=number)) for number in range(1, 65)]
        await agent.say("\n".join(beats))
        frame = await agent.socket.receive(timeout=20)
        heard = [decode_from_server(text) for text in messages_of(frame.data)]
        assert [ack.seq for ack in heard if isinstance(ack, m.HeartbeatAck)] == [*range(1, 65)]


async def test_what_comes_before_a_bad_message_of_a_frame_is_heard(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await agent.say(encode(m.Heartbeat(seq=1)) + "\n{}\n" + encode(m.Heartbeat(seq=2)))
        assert (await agent.hear(m.HeartbeatAck)).seq == 1
        assert "not a message" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.BAD_MESSAGE


async def test_nothing_is_read_after_the_message_that_closes_a_link(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reading(text: str) -> m.AgentMessage:
        read.append(text)
        return decode_from_agent(text)

    async with place.agent() as agent:
        await agent.hello()
        monkeypatch.setattr(place.hub._links["a"].session, "_heartbeat", lambda message: 1 // 0)
        monkeypatch.setattr(module, "decode_from_agent", reading)
        beats = [encode(m.Heartbeat(seq=number)) for number in range(1, 4)]
        # Both frames are there when the first is read.
        await agent.say("\n".join(beats))
        await agent.say(beats[0])
        assert await agent.closed() == CloseCode.INTERNAL
    assert read == beats[:1]


async def test_too_many_messages_in_a_frame_close_the_link(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await agent.say("\n".join([encode(m.Heartbeat(seq=1))] * 65))
        assert "64 messages at the most" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.BAD_MESSAGE
        assert not any(isinstance(message, m.HeartbeatAck) for message in agent.heard)


async def test_many_jobs_at_once_keep_their_logs_apart(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        logs: dict[AttemptId, bytes] = {}
        for number in range(4):
            await place.submit(name=f"job-{number}")
        for _ in range(4):
            key = await agent.start()
            logs[key] = cri(b"line of %s\n" % key.job.encode() * 3_000)
        step = 10_000
        for start in range(0, max(map(len, logs.values())), step):
            for key, log in logs.items():
                if piece := log[start : start + step]:
                    await agent.send_log(key, start, piece)
        for key, log in logs.items():
            await agent.finish(key, log)
        for key, log in logs.items():
            assert place.log_file(key).read_bytes() == log


async def test_offers_go_out_as_capacity_comes_back(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        capacity = sum(place.slot().capacity.values())
        jobs = {await place.submit() for _ in range(capacity + 3)}
        await until(lambda: len(place.slot().leases) == capacity)
        assert await place.store.demands()
        assert {(await agent.run()).job for _ in jobs} == jobs
        await until(lambda: place.slot().leases == {})


async def test_reading_goes_on_while_commits_wait(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        place.store.gate = asyncio.Event()
        await agent.upload(key, LOG)
        await agent.send(ended(key, LOG))
        ack = await agent.beat()
        assert ack.leases == 0, "its end has been reported"
        assert not [said for said in agent.heard if isinstance(said, m.Settled)]
        place.store.gate.set()
        await agent.hear(m.Settled)


async def test_reports_in_flight_are_bounded(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IN_FLIGHT", 10)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        place.store.gate = asyncio.Event()
        before = len(asyncio.all_tasks())
        for _ in range(500):
            await agent.send(agent.acceptance(key))
        await agent.send(m.Heartbeat(seq=77))
        await asyncio.sleep(0.1)
        assert len(asyncio.all_tasks()) < before + 30
        place.store.gate.set()
        assert (await agent.hear(m.HeartbeatAck)).seq == 77


async def test_acks_of_chunks_that_come_together_are_one(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        for start in range(0, 20_000, 10):
            await agent.say(encode_chunk(key, start, b"0123456789"))
        acks = [await agent.hear(m.Ack)]
        while acks[-1].offset < 20_000:
            acks.append(await agent.hear(m.Ack))
        assert len(acks) < 500
        assert [ack.offset for ack in acks] == sorted(ack.offset for ack in acks)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("this is no JSON", "not a message"),
        ("[1, 2, 3]", "not a message"),
        ('{"type": "launch"}', "not a message"),
        ('{"type": "accept", "attempt": "../../etc.1"}', "attempt"),
        ('{"type": "heartbeat", "seq": 0}', "seq"),
        ('{"type": "heartbeat", "seq": "' + "[" * 20_000 + '"}', "seq"),
        ("[" * 100_000, "not a message"),
        (b"", "chunk"),
        (b"\x01short", "chunk"),
        (struct.pack(">B16sIQ", 9, b"\xff" * 16, 1, 0) + b"x", "kind 9"),
        (struct.pack(">B16sIQ", 1, b"\xff" * 16, 0, 0) + b"x", "frame"),
        (struct.pack(">B16sIQ", 1, b"\xff" * 16, 1, 1 << 63) + b"x", "beyond every log"),
        (encode_chunk(AttemptId("0" * 26, 1), 0, b"x" * MAX_PAYLOAD) + b"x", "chunk"),
    ],
    ids=[
        "text", "list", "unknown", "bad-id", "zero", "nested", "deep", "empty",
        "short", "kind", "attempt", "offset", "large",
    ],
)  # fmt: skip
@pytest.mark.parametrize("greeted", [True, False])
async def test_garbage_is_answered_with_words_and_a_code(
    place: LiveHub, said: LogCapture, frame: str | bytes, words: str, greeted: bool
) -> None:
    async with place.agent() as agent:
        if greeted:
            await agent.hello()
        await agent.say(frame)
        error = await agent.hear(m.Error)
        assert words in error.detail
        assert error.code == "bad_message"
        assert await agent.closed() == CloseCode.BAD_MESSAGE
    await until(lambda: place.hub.slot("a") is None)
    told = [entry for entry in said.entries if entry["event"] == "link closed"]
    assert [(entry["agent"], entry["code"]) for entry in told] == [("a", CloseCode.BAD_MESSAGE)]
    assert not [entry for entry in said.entries if entry["log_level"] == "error"]


@pytest.mark.parametrize("message", [m.Heartbeat(seq=1), m.Goodbye(reason="bye")])
async def test_nothing_may_come_before_the_hello(place: LiveHub, message: m.Message) -> None:
    async with place.agent() as agent:
        await agent.send(message)
        assert "before the hello" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.BAD_MESSAGE


async def test_log_bytes_may_not_come_before_the_hello(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.say(encode_chunk(AttemptId("0" * 26, 1), 0, b"x"))
        assert "before the hello" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.BAD_MESSAGE


async def test_a_message_over_the_limit_closes_the_link(place: LiveHub, said: LogCapture) -> None:
    async with place.agent() as agent:
        await agent.hello()
        # The server may close before it has read all of it.
        with suppress(OSError):
            await agent.say("x" * (MAX_CHUNK_FRAME + 1))
        assert await agent.closed() in (aiohttp.WSCloseCode.MESSAGE_TOO_BIG, 1006)
    await until(lambda: place.hub.slot("a") is None)
    assert [entry["agent"] for entry in said.entries if entry["event"] == "link broken"] == ["a"]


async def test_text_that_is_not_utf8_closes_the_link(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        transport = agent._transport()
        # A masked text frame (RFC 6455 §5.2) of one byte that UTF-8 never has.
        transport.write(b"\x81\x81\0\0\0\0\xff")
        assert await agent.closed() == aiohttp.WSCloseCode.INVALID_TEXT
    await until(lambda: place.hub.slot("a") is None)


async def test_a_protocol_version_that_nobody_speaks(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.send(
            m.Hello(oldest=7, newest=9, installation="fake", session="0" * 26, agent_version="9")
        )
        assert "update the older" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.UNSUPPORTED_VERSION
    assert place.hub.slot("a") is None


async def test_what_is_not_the_agents_is_superseded(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        strange = AttemptId("0" * 26, 1)
        await agent.send_log(strange, 0, b"x" * 100)
        await agent.hear(m.Superseded)
        await agent.send(ended(strange))
        await agent.hear(m.Superseded)
        assert not place.log_file(strange).exists()
        await place.submit()
        key = await agent.start()
        other = AttemptId(key.job, 2)
        await agent.send_log(other, 0, b"x")
        assert (await agent.hear(m.Superseded)).attempt.number == 2
        assert not place.log_file(other).exists()


async def test_a_hello_while_the_database_is_away_is_asked_to_come_back(place: LiveHub) -> None:
    place.store.down = True
    async with place.agent() as agent:
        await agent.send(
            m.Hello(oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x")
        )
        assert (await agent.hear(m.Error)).code == "try_again"
        assert await agent.closed() == CloseCode.TRY_AGAIN
    place.store.down = False
    async with place.agent() as agent:
        await agent.hello()


async def test_a_cut_link_gives_back_what_was_not_accepted(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        job = await place.submit()
        key = await agent.offered()
        agent.cut()
        await place.job_reaches(job, JobState.QUEUED)
        assert (await place.attempt(key)).state is AttemptState.WITHDRAWN
    async with place.agent("b") as other:
        await other.hello()
        assert await other.run() == key, "the number is used again: it has not run"


async def test_a_cut_link_keeps_what_was_accepted(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await agent.upload(key, LOG[:500])
        agent.cut()
    await until(lambda: place.hub.slot("a") is None)
    async with place.agent() as agent:
        welcome = await agent.hello(holds(key, Phase.RUNNING, len(LOG)))
        assert [(r.verdict, r.offset) for r in welcome.rulings] == [(m.Verdict.KEEP, 500)]
        await agent.upload(key, LOG[500:], 500)
        await agent.finish(key, LOG)


async def test_a_defect_of_ours_costs_one_link_only(
    place: LiveHub, said: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()
        monkeypatch.setattr(place.hub._links["a"].session, "_heartbeat", lambda message: 1 // 0)
        await agent.send(m.Heartbeat(seq=1))
        assert "see its log" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.INTERNAL
        await other.beat()
    errors = [entry for entry in said.entries if entry["log_level"] == "error"]
    assert [entry["event"] for entry in errors] == ["a link failed"]


async def test_the_close_reason_is_whole_characters(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        token = await place.token("a")
        place.hub.committed(ChangeSet(revoked={token.id: "ä" * 300}))
        assert (await agent.hear(m.Error)).detail == "ä" * 300
        assert await agent.closed() == CloseCode.UNREGISTERED


def test_the_fake_speaks_as_an_agent() -> None:
    assert isinstance(FakeAgent("ws://127.0.0.1:1/x").heard, list)


def throttled_by_hand(place: LiveHub) -> None:
    """Lines of the log are throttled by a clock that stands still: `late` alone moves it."""
    place.hub.log._clock = lambda: place.late


async def test_an_agent_cannot_fill_the_servers_log(place: LiveHub, said: LogCapture) -> None:
    throttled_by_hand(place)
    for _ in range(20):
        async with place.agent() as agent:
            await agent.say("{garbage")
            assert await agent.closed() == CloseCode.BAD_MESSAGE
    lines = [entry for entry in said.entries if entry["event"] == "link closed"]
    assert len(lines) == 1
    place.late += 60
    async with place.agent() as agent:
        await agent.say("{garbage")
        assert await agent.closed() == CloseCode.BAD_MESSAGE
    last = [entry for entry in said.entries if entry["event"] == "link closed"][-1]
    assert last["left_out"] == 19


async def test_an_agent_that_comes_and_goes_cannot_either(place: LiveHub, said: LogCapture) -> None:
    throttled_by_hand(place)
    for _ in range(20):
        async with place.agent() as agent:
            await agent.hello()
            agent.cut()
        await until(lambda: place.hub.slot("a") is None)
    kinds = ("agent connected", "agent disconnected")
    assert sorted(e["event"] for e in said.entries if e["event"] in kinds) == sorted(kinds)
    place.late += 60
    async with place.agent() as agent:
        await agent.hello()
        (*_, last) = (entry for entry in said.entries if entry["event"] == kinds[0])
        assert (last["agent"], last["left_out"], last["epoch"]) == ("a", 19, 21)


async def test_what_cannot_be_written_is_few_lines_for_each_agent(
    place: LiveHub, said: LogCapture
) -> None:
    kind = "nothing was acknowledged"
    throttled_by_hand(place)
    async with place.agent() as agent:
        await agent.hello()
        keys = []
        for _ in range(3):
            await place.submit()
            keys.append(await agent.start())
            await place.reaches(keys[-1], AttemptState.RUNNING)
        place.store.down = True
        await agent.send(*(ended(key) for key in keys))
        counted = place.hub.log._throttle._kinds
        await until(lambda: counted.get((kind, "a"), (0, 0))[1] == 2)
    assert [entry["agent"] for entry in said.entries if entry["event"] == kind] == ["a"]
