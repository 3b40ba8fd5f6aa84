"""The loop that sends, on a real database and with a receiver that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from remote_protocol.api.webhooks import WebhookCreate
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Clock
from remote_server.domain.signing import KEY_SIZE, SigningKey, headers, key_text
from remote_server.domain.webhooks import Answer, Webhook
from remote_server.store import Store
from remote_server.webhooks.sender import Sender, SenderSettings
from tests.support.stored import NOW, submitted

KEY = SigningKey(key_text(b"k" * KEY_SIZE))
DELIVERED = Answer(0.1, 200)
FAILED = Answer(0.1, 500, "the receiver answered 500")


@dataclass
class FakePoster:
    """Answers what it is told, or only when the gate is opened."""

    answer: Answer = DELIVERED
    posted: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    flying: int = 0
    most: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.posted.append((url, dict(headers), body))
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            await self.gate.wait()
        finally:
            self.flying -= 1
        return self.answer

    async def close(self) -> None:
        self.closed = True


@dataclass
class Bench:
    """A sender whose turns the test takes, and whose clock it sets."""

    store: Store
    poster: FakePoster = field(default_factory=FakePoster)
    now: float = NOW
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = self.another()

    def another(self, look_every: float = 5.0) -> Sender:
        clock = Clock(lambda: self.now, lambda: self.now)
        return Sender(
            self.store, self.poster, KEY, clock, lambda: 0.5, SenderSettings(look_every=look_every)
        )

    async def hook(self, name: str = "a", url: str = "https://x.example/h") -> Webhook:
        wanted = WebhookCreate.model_validate({"name": name, "url": url, "events": ["job.ended"]})
        return await self.store.create_webhook(wanted, KEY.id, self.now)

    async def end_jobs(self, count: int = 1) -> None:
        for _ in range(count):
            job = await submitted(self.store, self.now)
            await self.store.request_cancel(job, "", self.now)

    async def turn(self) -> float:
        """A turn, and the end of what it sent unless the gate holds that up."""
        pause = await self.sender.turn()
        while self.sender._flying and self.poster.gate.is_set():
            await asyncio.sleep(0)
        return pause


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = await Store.open(str(tmp_path / "server.db"))
    made = Bench(store)
    yield made
    await made.sender.close()
    assert made.poster.closed
    await store.close()


async def test_an_end_is_posted_with_its_signature(bench: Bench) -> None:
    hook = await bench.hook()
    await bench.end_jobs()
    await bench.turn()
    ((url, sent, body),) = bench.poster.posted
    assert url == hook.url
    secret = KEY.secret(hook.id, 1)
    assert sent.items() >= headers([secret], sent["webhook-id"], int(NOW), body).items()
    await bench.turn()
    assert len(bench.poster.posted) == 1
    assert (await bench.store.delivery("a", sent["webhook-id"])).state == "delivered"


async def test_a_failure_is_tried_again_at_its_time(bench: Bench) -> None:
    await bench.hook()
    await bench.end_jobs()
    bench.poster.answer = FAILED
    await bench.turn()
    assert await bench.turn() == 5
    assert len(bench.poster.posted) == 1
    bench.now += 5
    await bench.turn()
    bench.poster.answer = Answer(0.1, 200)
    bench.now += 10
    await bench.turn()
    assert len({sent["webhook-id"] for _, sent, _ in bench.poster.posted}) == 1
    assert len(bench.poster.posted) == 3
    assert (await bench.store.webhook("a")).failing_since is None


async def test_what_was_in_flight_at_a_crash_is_sent_again(bench: Bench) -> None:
    await bench.hook()
    await bench.end_jobs()
    bench.poster.gate.clear()
    await bench.turn()
    while not bench.poster.posted:
        await asyncio.sleep(0)
    await bench.sender.close()
    bench.poster.gate.set()
    bench.sender = bench.another()
    await bench.turn()
    first, second = (sent["webhook-id"] for _, sent, _ in bench.poster.posted)
    assert first == second


async def test_one_destination_takes_only_some_places(bench: Bench) -> None:
    await bench.hook("a", "https://slow.example/1")
    await bench.hook("b", "https://slow.example/2")
    await bench.end_jobs(10)
    bench.poster.gate.clear()
    await bench.turn()
    await bench.turn()
    while bench.poster.flying < 4:
        await asyncio.sleep(0)
    await bench.hook("c", "https://other.example/")
    await bench.end_jobs(10)
    await bench.turn()
    while bench.poster.flying < 8:
        await asyncio.sleep(0)
    assert len([url for url, *_ in bench.poster.posted if "slow" in url]) == 4
    bench.poster.gate.set()
    while len(bench.poster.posted) < 50:
        await bench.turn()
    assert bench.poster.most == 8


async def test_one_that_fails_is_asked_one_at_a_time(bench: Bench) -> None:
    await bench.hook()
    bench.poster.answer = FAILED
    await bench.end_jobs(1)
    await bench.turn()
    await bench.end_jobs(9)
    before = len(bench.poster.posted)
    await bench.turn()
    assert len(bench.poster.posted) == before + 1


async def test_all_places_are_bounded(bench: Bench) -> None:
    for number in range(10):
        await bench.hook(f"h{number}", f"https://host{number}.example/")
    await bench.end_jobs(5)
    bench.poster.gate.clear()
    await bench.turn()
    await bench.turn()
    assert len(bench.sender._flying) == 16
    bench.poster.gate.set()


async def test_another_key_is_said(bench: Bench) -> None:
    wanted = WebhookCreate.model_validate(
        {"name": "a", "url": "https://x.example", "events": ["job.ended"]}
    )
    await bench.store.create_webhook(wanted, "of another server", NOW)
    one = await bench.store.put_test("a", NOW)
    await bench.turn()
    assert bench.poster.posted == []
    found = await bench.store.delivery("a", one.id)
    assert found.state == "failed" and "rotate-secret a" in found.error


async def test_without_webhooks_an_end_wakes_nobody(bench: Bench) -> None:
    await bench.turn()
    bench.sender.committed(ChangeSet(ended={"1"}))
    assert not bench.sender._wake.is_set()
    bench.sender.committed(ChangeSet(webhooks={"a"}))
    assert bench.sender._wake.is_set()
    await bench.hook()
    await bench.turn()
    bench.sender.committed(ChangeSet(ended={"1"}))
    assert bench.sender._wake.is_set()


async def test_a_webhook_of_another_process_misses_nothing(bench: Bench) -> None:
    """Whoever enables one without a word here is seen with the next look: no end is lost."""
    await bench.turn()
    await bench.hook()
    await bench.end_jobs()
    assert not bench.sender._wake.is_set()
    await bench.turn()
    assert len(bench.poster.posted) == 1


async def test_old_messages_go(bench: Bench) -> None:
    await bench.hook()
    await bench.end_jobs()
    await bench.turn()
    bench.now += 8 * 86400
    await bench.turn()
    assert await bench.store.deliveries("a", 10) == []


async def test_the_loop_runs_and_is_woken(bench: Bench) -> None:
    bench.sender = bench.another(3600.0)
    bench.store.on_commit(bench.sender.committed)
    running = asyncio.create_task(bench.sender.run())
    await bench.hook()
    await bench.end_jobs()
    async with asyncio.timeout(60):
        while not bench.poster.posted:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.poster.closed
