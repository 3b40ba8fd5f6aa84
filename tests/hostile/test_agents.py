"""Rogue agents with a token of their own: what they claim, refuse, flood and invent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.error
from typing import Any

import aiohttp
import pytest

from remote_client.errors import ApiError
from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.limits import MAX_PAYLOAD
from remote_protocol.messages import (
    HeartbeatAck,
    Message,
    Missing,
    Offer,
    Phase,
    Refusal,
    Refuse,
    Rewind,
    Welcome,
)
from remote_protocol.spec import JobSpec
from remote_protocol.states import AgentState, JobState
from tests.hostile.place import Place, Placed
from tests.support.fake_agent import FakeAgent, cri, ended, holds
from tests.support.frames import encode_chunk
from tests.support.live_hub import until
from tests.support.rogues import TEXT, enrol, frame, open_link
from tests.support.stack import until as until_so
from tests.support.trees import total_size

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(300),  # An attack takes a while on a busy machine.
]
TOO_BIG = 1009
"""RFC 6455 §7.4.1."""
SESSION = "01JD0000000000000000000000"


def hello(**fields: Any) -> str:
    """A hello as text, with whatever fields."""
    start = {
        "type": "hello",
        "oldest": 1,
        "newest": 1,
        "installation": "i",
        "session": SESSION,
        "agent_version": "x",
    }
    return json.dumps({**start, **fields})


def submit(place: Place, queue: str, **fields: Any) -> str:
    """A job for the rogue."""
    spec = {"queue": queue, "command": ["true"], **fields}
    return place.client.submit(JobSpec.model_validate(spec)).id


async def heard_of(agent: FakeAgent, seconds: float) -> int | None:
    """Listen for so long; the code with which the server closes the link, if it does."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await agent.closed()
    return None


async def answered(agent: FakeAgent, kind: type[Message]) -> int | None:
    """None when an answer of this kind comes; else the code with which the server closes the link
    instead."""
    try:
        await agent.hear(kind)
    except AssertionError:
        return agent.socket.close_code
    return None


async def refuse_all(agent: FakeAgent, reason: Refusal, seen: list[Offer]) -> None:
    """Refuse every offer as soon as it comes."""
    while True:
        offer = await agent.hear(Offer)
        seen.append(offer)
        refused = Refuse(
            attempt=offer.attempt, serial=offer.serial, reason=reason, detail="not today"
        )
        await agent.send(refused)


def stored(place: Place) -> int:
    """Bytes of the server's data directory as they are counted by ls, holes included."""
    return total_size(place.stack.data_dir)


# What a hello claims ---------------------------------------------------------------------------

NAMES = [f"q{number}" for number in range(20_000)]
CLAIMS: dict[str, dict[str, Any]] = {
    "20,000 queues": {"queues": NAMES},
    "one queue 400,000 times": {"queues": ["a"] * 400_000},
    "101 queues": {"queues": NAMES[:101]},
    "65 labels": {"labels": dict.fromkeys(NAMES[:65], "v")},
    "20,000 labels": {"labels": dict.fromkeys(NAMES, "v")},
    "20,000 classes": {"capacity": dict.fromkeys(NAMES, 1)},
    "101 classes": {"capacity": dict.fromkeys(NAMES[:101], 1)},
    "long names": {"queues": ["q" * 129]},
}


@pytest.mark.parametrize("claim", CLAIMS)
async def test_a_hello_is_bounded(place: Place, claim: str) -> None:
    name, token = await asyncio.to_thread(place.rogue, "sandbox")
    submit(place, "sandbox", priority=-1000)
    with place.attacked():
        async with FakeAgent(place.link(), token) as agent:
            await agent.say(hello(settings=CLAIMS[claim]))
            assert await answered(agent, Welcome) in (None, TOO_BIG, CloseCode.BAD_MESSAGE)
        shown = await asyncio.to_thread(place.client.agent, name)
        assert set(shown.queues) <= {"sandbox"}
        assert len(shown.labels) <= 64
        assert len(shown.capacity) <= 100


def test_a_registration_is_bounded_and_keeps_its_token(place: Place) -> None:
    if "sandbox" not in {queue.name for queue in place.client.queues()}:
        place.client.create_queue(QueueCreate(name="sandbox"))
    for number, claim in enumerate(CLAIMS.values()):
        token = place.registration("sandbox")
        with pytest.raises(urllib.error.HTTPError) as refused:
            enrol(place.stack.url, f"too-much-{number}", token, **claim)
        assert refused.value.code in (403, 413, 422)
        # What failed has used nothing up.
        enrol(place.stack.url, f"too-much-{number}", token, queues=["sandbox"])
        place.client.delete_agent(f"too-much-{number}")


# Queues that are not its own -------------------------------------------------------------------


async def offers_of(place: Place, agent: FakeAgent, **settings: Any) -> set[str]:
    """The jobs that an agent is offered for a hello with these settings."""
    await agent.say(hello(settings=settings))
    if await answered(agent, Welcome) is None:
        # Whoever gives this job has seen by then what else there is to give.
        await asyncio.to_thread(place.short)
        await agent.beat()
    return {said.attempt.job for said in agent.heard if isinstance(said, Offer)}


async def gets_nothing_of(place: Place, token: str, queue: str, **settings: Any) -> None:
    """A hello that claims a queue does not get that queue's jobs."""
    job = await asyncio.to_thread(submit, place, queue, env={"SECRET": "hush"})
    async with FakeAgent(place.link(), token) as agent:
        assert job not in await offers_of(place, agent, queues=[queue], **settings)
    view = await asyncio.to_thread(place.client.job, job)
    assert view.state is JobState.QUEUED
    await asyncio.to_thread(place.client.cancel, job)


async def test_a_hello_cannot_claim_a_queue(place: Place) -> None:
    name, token = await asyncio.to_thread(place.rogue, "sandbox")
    place.client.create_queue(QueueCreate(name="vault"))
    with place.attacked():
        await gets_nothing_of(place, token, "vault")
        # The allowed set is the one of the last PATCH.
        place.client.change_agent(name, AgentChange(queues=["default"]))
        await gets_nothing_of(place, token, "vault")
        await gets_nothing_of(place, token, "sandbox")


async def test_a_token_made_for_one_agent_does_not_open_every_queue(place: Place) -> None:
    client = place.client
    token = client.create_token("one", agent="loner").token
    with place.attacked():
        for known in ("vault-2", "vault-3"):
            client.create_queue(QueueCreate(name=known))
        with contextlib.suppress(urllib.error.HTTPError):
            enrol(place.stack.url, "loner", token, queues=["default"])
        with contextlib.suppress(ApiError):
            client.change_agent("loner", AgentChange(queues=["default"]))
        await gets_nothing_of(place, token, "vault-2")
        # Nor does another registration with it.
        with contextlib.suppress(urllib.error.HTTPError):
            enrol(place.stack.url, "loner", token, queues=["vault-3"])
        await gets_nothing_of(place, token, "vault-3")


async def test_a_hello_cannot_raise_its_capacity(place: Place) -> None:
    name, token = await asyncio.to_thread(place.rogue, "sandbox-2", capacity=2)
    place.client.change_agent(name, AgentChange(capacity={"default": 2}))
    jobs = [await asyncio.to_thread(submit, place, "sandbox-2") for _ in range(20)]
    with place.attacked():
        async with FakeAgent(place.link(), token) as agent:
            assert len(await offers_of(place, agent, capacity={"default": 10_000})) <= 2
    for job in jobs:
        place.client.cancel(job)


def test_replacing_an_agent_is_a_right(place: Place) -> None:
    production = place.rogue("production")
    token = place.registration("sandbox")
    import urllib.request

    for replace in (True, False):
        body = {"name": production.name, "replace": replace, "settings": {"queues": ["sandbox"]}}
        body["fingerprint"] = "another host"
        request = urllib.request.Request(
            f"{place.stack.url}/api/v1/agent/register",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}"},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        assert refused.value.code in (401, 403, 409)
    assert place.client.agent(production.name).queues == ["production"]
    link = open_link(place.stack.port, production.token)
    assert link.status == 101
    link.close()


async def test_an_empty_installation_takes_no_name_over(place: Place) -> None:
    _name, token = await asyncio.to_thread(place.rogue, "sandbox-3")
    async with FakeAgent(place.link(), token) as agent:
        await agent.hello(installation="the host")
        for wrong, why in (("", CloseCode.BAD_MESSAGE), ("another", CloseCode.COPIED)):
            async with FakeAgent(place.link(), token) as thief:
                await thief.say(hello(installation=wrong))
                answering = asyncio.ensure_future(keep_answering(agent))
                code = await heard_of(thief, 30)
                answering.cancel()
                assert code == why
        assert (await agent.beat()).eligible


async def keep_answering(agent: FakeAgent) -> None:
    """Say hello to each resync, as a living agent does."""
    while True:
        message = await agent.next()
        if message.type == "resync":
            await agent.say(hello(installation="the host"))


# Loops -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [r for r in Refusal if not r.final])
async def test_refusing_every_offer_is_slowed_down_and_named(place: Place, reason: Refusal) -> None:
    queue = f"refused-{reason}"
    name, token = await asyncio.to_thread(place.rogue, queue)
    jobs = [await asyncio.to_thread(submit, place, queue) for _ in range(5)]
    before, offers = stored(place), list[Offer]()

    async def named() -> bool:
        view = await asyncio.to_thread(place.client.job, jobs[0])
        why = f"{view.pending_reason} {view.end_detail}"
        return "refus" in why and name in why

    with place.attacked():
        async with FakeAgent(place.link(), token) as agent:
            await agent.hello()
            refusing = asyncio.ensure_future(refuse_all(agent, reason, offers))
            await asyncio.sleep(5)
            assert len(offers) <= 30
            await until(lambda: len(offers) >= 5)
            assert stored(place) - before < 4 << 20
            # Not while it is offered once more.
            await until(named)
            shown = await asyncio.to_thread(place.client.agent, name)
            assert "gives back what it is offered" in shown.warning
            assert "not today" in shown.warning
            refusing.cancel()
            await asyncio.gather(refusing, return_exceptions=True)
    for job in jobs:
        assert len(place.client.timeline(job)) < 60
        place.client.cancel(job)


async def test_a_rogue_that_refuses_does_not_keep_a_job_from_others(place: Place) -> None:
    _name, token = await asyncio.to_thread(place.rogue, "honest", capacity=100)
    async with FakeAgent(place.link(), token) as agent:
        await agent.hello()
        refusing = asyncio.ensure_future(refuse_all(agent, Refusal.CAPACITY, []))
        try:
            for _ in range(5):
                await asyncio.to_thread(place.short)
        finally:
            refusing.cancel()
            await asyncio.gather(refusing, return_exceptions=True)


async def test_accepting_and_going_away_is_slowed_down_too(place: Place) -> None:
    _name, token = await asyncio.to_thread(place.rogue, "left")
    job = await asyncio.to_thread(submit, place, "left", max_attempts=100, retry_backoff=0)
    with place.attacked():
        until_, links = time.monotonic() + 5, 0
        while time.monotonic() < until_:
            with contextlib.suppress(AssertionError, OSError, aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(2), FakeAgent(place.link(), token) as agent:
                    links += 1
                    await agent.hello()
                    await agent.offered()
                    agent.cut()
    assert len(place.client.timeline(job)) < 4 * links + 20
    place.client.cancel(job)


# Logs that are too long, or not there ----------------------------------------------------------


async def test_missing_logs_are_not_made_up(place: Place) -> None:
    _name, token = await asyncio.to_thread(place.rogue, "sparse", capacity=8)
    for _ in range(7):
        await asyncio.to_thread(submit, place, "sparse")
    before = stored(place)
    with place.attacked():
        async with FakeAgent(place.link(), token) as agent:
            await agent.hello()
            keys = [await agent.start() for _ in range(7)]
            # The server may have ended the link by then.
            with contextlib.suppress(ConnectionError):
                for key in keys:
                    await agent.send(Missing(attempt=key, offset=60 << 30))
                    report = ended(key, size=60 << 30, checksum=1)
                    await agent.send(report)
            assert await heard_of(agent, 3) in (None, CloseCode.BAD_MESSAGE)
            await asyncio.to_thread(place.short)
        # Nor after a rewind that the server did ask for.
        async with FakeAgent(place.link(), token) as agent:
            await agent.say(hello(inventory=[item(key) for key in keys]))
            with contextlib.suppress(AssertionError, TimeoutError, ConnectionError):
                async with asyncio.timeout(3):
                    for key in keys:
                        await agent.send(ended(key, size=60 << 30, checksum=1))
                    while True:
                        asked = await agent.hear(Rewind)
                        made_up = Missing(attempt=asked.attempt, offset=60 << 30)
                        await agent.send(made_up)
        await asyncio.to_thread(place.short)
        assert stored(place) - before < 256 << 20


def item(key: AttemptId) -> dict[str, Any]:
    """An entry of an inventory, as JSON."""
    return holds(key, Phase.ENDED, 60 << 30).model_dump(mode="json")


async def test_the_server_keeps_no_more_log_than_it_allows(placed: Placed) -> None:
    with placed(LIMITS_MAX_JOB_LOG="1MiB") as place:
        _name, token = await asyncio.to_thread(place.rogue, "long")
        await asyncio.to_thread(submit, place, "long")
        before = stored(place)
        with place.attacked():
            async with FakeAgent(place.link(), token) as agent:
                await agent.hello()
                key = await agent.start()
                piece = (cri(b"x" * 200) * 2_000)[: MAX_PAYLOAD - MAX_PAYLOAD % 250]
                with contextlib.suppress(OSError, AssertionError, TimeoutError):
                    async with asyncio.timeout(20):
                        for number in range(400):
                            at = number * len(piece)
                            await agent.say(encode_chunk(key, at, piece))
                await heard_of(agent, 2)
            # Of 100 MiB: short lines take many times as much as they are.
            assert stored(place) - before < 64 << 20


async def test_an_agents_own_log_is_no_way_to_fill_the_disk(placed: Placed) -> None:
    with placed(AGENTS_LOG_SIZE="1MiB") as place:
        name, token = await asyncio.to_thread(place.rogue, "chatty")
        lines = ["\x1b" * 2_000] * 15
        text = json.dumps({"type": "own_log", "cursor": "c", "lines": lines})
        with place.attacked():
            await asyncio.gather(
                flood(place, token, hello(), [text], 6), asyncio.to_thread(place.short)
            )
        folder = place.stack.data_dir / "agent-logs" / name
        assert total_size(folder) < 2 << 20
        shown = place.stack.ctl("agent", "logs", "--tail", "3", name, check=True).stdout
        assert b"\\x1b" in shown and b"\x1b" not in shown


# Floods ----------------------------------------------------------------------------------------


async def flood(place: Place, token: str, first: str, frames: list[str], seconds: float) -> None:
    """Say hello, then the same again and again, as fast as it goes."""
    until_ = time.monotonic() + seconds
    while time.monotonic() < until_:
        with contextlib.suppress(OSError, aiohttp.ClientError, AssertionError, TimeoutError):
            async with asyncio.timeout(seconds + 5), FakeAgent(place.link(), token) as agent:
                await agent.say(first)
                reading = asyncio.ensure_future(heard_of(agent, seconds))
                while time.monotonic() < until_ and not reading.done():
                    for text in frames:
                        await agent.say(text)
                reading.cancel()
        await asyncio.sleep(0.01)


INVENTORY = [{"attempt": f"01JD{number:022d}.1", "phase": "running"} for number in range(20_000)]
FLOODS: dict[str, tuple[str, str]] = {
    "heartbeats": (hello(), '{"type":"heartbeat","seq":1}'),
    "conditions": (hello(), '{"type":"heartbeat","seq":1,"condition":{"accepting":%s}}'),
    "hellos": (hello(), hello()),
    "long hellos": (hello(), hello(inventory=INVENTORY)),
    "refusals": (
        hello(),
        json.dumps({"type": "refuse", "attempt": f"{SESSION}.1", "reason": "capacity"}),
    ),
    "acceptances": (hello(), json.dumps({"type": "accept", "attempt": f"{SESSION}.1"})),
    "ends": (
        hello(),
        json.dumps(
            {"type": "ended", "attempt": f"{SESSION}.1", "end_reason": "exit", "size": 0,
             "checksum": 0, "ended_at": 0}
        ),
    ),
    "goodbyes": (hello(), '{"type":"goodbye"}'),
}  # fmt: skip


@pytest.mark.parametrize("what", FLOODS)
async def test_a_flood_stalls_nobody(place: Place, what: str) -> None:
    name, token = await asyncio.to_thread(place.rogue, "flooded")
    first, text = FLOODS[what]
    texts = [text % "true", text % "false"] if "%s" in text else [text]
    with place.attacked() as watch:
        await asyncio.gather(flood(place, token, first, texts, 4), asyncio.to_thread(place.short))
        assert watch.logged < 300_000
    shown = place.client.agent(name)
    assert shown.state in (AgentState.OFFLINE, AgentState.ONLINE, AgentState.STALE)


def test_a_flood_of_control_frames_stalls_nobody(place: Place) -> None:
    _name, token = place.rogue("pinged")
    with place.attacked():
        for made in (frame(9, b"x" * 125), frame(10, b""), frame(0, b"", fin=False)):
            link = open_link(place.stack.port, token)
            link.say(hello().encode())
            until_ = time.monotonic() + 2
            link.socket.settimeout(1)
            while time.monotonic() < until_ and link.send(made * 200):
                link.listen(0.001)
            link.close()
        place.short()


def test_links_that_never_say_hello_hold_little(place: Place) -> None:
    _name, token = place.rogue("silence")
    with place.attacked():
        links = []
        part = frame(TEXT, b" " * (1 << 20), fin=False)
        for _ in range(100):
            with contextlib.suppress(OSError):
                link = open_link(place.stack.port, token)
                links.append(link)
                link.socket.settimeout(0.2)
                for _ in range(3):
                    if not link.send(part):
                        break
                    part = frame(0, b" " * (1 << 20), fin=False)
                part = frame(TEXT, b" " * (1 << 20), fin=False)
        place.short()

        def left_open() -> int:
            for link in links:
                link.listen(0.001)
            return sum(link.code is None and link.status == 101 for link in links)

        until_so(lambda: left_open() < 10, "the server closes most of them")
        for link in links:
            link.close()


# Numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [str(10**400), "-5", "1e400", str(2**63), "1" + "0" * 5_000])
@pytest.mark.parametrize("field", ["spool_bytes", "running", "seq"])
async def test_numbers_of_a_heartbeat_are_bounded(place: Place, field: str, number: str) -> None:
    name, token = await asyncio.to_thread(place.rogue, "counted")
    async with FakeAgent(place.link(), token) as agent:
        await agent.hello()
        rest = "" if field == "seq" else '"seq":1,'
        await agent.say(f'{{"type":"heartbeat",{rest}"{field}":{number}}}')
        assert await answered(agent, HeartbeatAck) in (None, CloseCode.BAD_MESSAGE)
        shown = await asyncio.to_thread(place.stack.ctl, "agent", "show", name)
        assert shown.returncode == 0, shown.stderr.decode()
    assert 0 <= place.client.agent(name).spool_bytes < 2**63


# The end of an agent ---------------------------------------------------------------------------


async def test_a_deleted_agent_does_not_return_by_its_hello(place: Place) -> None:
    for _ in range(15):
        name, token = await asyncio.to_thread(place.rogue, "sandbox")
        async with FakeAgent(place.link(), token) as agent:
            deleting = asyncio.to_thread(place.client.delete_agent, name)
            await asyncio.gather(agent.say(hello()), deleting)
            await heard_of(agent, 1)
        with pytest.raises(ApiError) as gone:
            await asyncio.to_thread(place.client.agent, name)
        assert gone.value.status == 404


async def test_an_expired_token_ends_its_link(place: Place) -> None:
    # One that expires before the link is welcomed is made again, for longer.
    for lifetime in (1, 5, 25):
        token = place.client.create_token("short", agent="short-lived", expires=lifetime).token
        with contextlib.suppress(urllib.error.HTTPError):
            enrol(place.stack.url, "short-lived", token, queues=["default"])
        with contextlib.suppress(aiohttp.WSServerHandshakeError):
            async with FakeAgent(place.link(), token) as agent:
                await agent.say(hello())
                if await answered(agent, Welcome) is None:
                    assert await heard_of(agent, lifetime + 30) == CloseCode.UNREGISTERED
                    return
    raise AssertionError("every token had expired before its link was welcomed")


async def test_a_new_token_ends_the_link_of_the_old_one(place: Place) -> None:
    name, token = await asyncio.to_thread(place.rogue, "sandbox")
    async with FakeAgent(place.link(), token) as agent:
        await agent.hello()
        await asyncio.to_thread(place.client.rotate_agent_token, name)
        assert await heard_of(agent, 30) == CloseCode.UNREGISTERED
