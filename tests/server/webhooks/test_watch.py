"""States of agents and queues, as webhooks hear of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from remote_protocol.api.webhooks import WebhookChange, WebhookCreate
from remote_protocol.ids import make_ulid
from remote_protocol.messages import Hello, Settings
from remote_protocol.states import AgentState
from remote_server.domain.links import AgentStatus
from remote_server.domain.model import Clock
from remote_server.store import Store
from remote_server.webhooks.watch import StateWatch
from tests.support.stored import NOW

ONLINE = AgentStatus(AgentState.ONLINE)
HELLO = Hello(
    oldest=1,
    newest=1,
    installation="x",
    session=make_ulid(1, bytes(10)),
    agent_version="test",
    settings=Settings(),
)


def silent(seconds: float) -> AgentStatus:
    return AgentStatus(AgentState.OFFLINE, seconds, NOW - seconds)


@dataclass
class Bench:
    """A watch over agents whose state the test sets."""

    store: Store
    states: dict[str, AgentStatus] = field(default_factory=dict)
    now: float = NOW

    async def look(self) -> list[str]:
        """What is told after a look, the oldest first."""
        clock = Clock(lambda: self.now, lambda: self.now)
        self.now += 5
        await StateWatch(self.store, self.states.__getitem__, clock, 60.0, 100).look()
        return [f"{one.type} {one.subject}" for one in await self.store.deliveries("w", 100)][::-1]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = await Store.open(str(tmp_path / "server.db"))
    await store.bump_epoch("a", HELLO, "", NOW)
    wanted = WebhookCreate.model_validate(
        {
            "name": "w",
            "url": "https://x.example",
            "events": ["agent.offline", "agent.online", "queue.unserved", "queue.served"],
        }
    )
    await store.create_webhook(wanted, "key", NOW + 1)
    yield Bench(store, {"a": ONLINE})
    await store.close()


async def test_an_agent_goes_and_comes_back(bench: Bench) -> None:
    assert await bench.look() == []
    bench.states["a"] = silent(30)
    assert await bench.look() == []
    bench.states["a"] = silent(61)
    told = ["agent.offline a", "queue.unserved default"]
    assert sorted(await bench.look()) == told
    assert sorted(await bench.look()) == told
    bench.states["a"] = ONLINE
    assert sorted((await bench.look())[2:]) == ["agent.online a", "queue.served default"]


async def test_a_restart_of_the_server_tells_nothing(bench: Bench) -> None:
    await bench.look()
    # Nobody is connected, and silence is counted anew.
    bench.states["a"] = AgentStatus(AgentState.OFFLINE, 1.0, None)
    assert await bench.look() == []
    bench.states["a"] = ONLINE
    assert await bench.look() == []


async def test_what_happened_before_a_restart_is_told_after_it(bench: Bench) -> None:
    await bench.look()
    bench.states["a"] = silent(61)
    assert "agent.offline a" in await bench.look()


async def test_a_queue_is_served_by_any_of_its_agents(bench: Bench) -> None:
    await bench.store.bump_epoch("b", HELLO, "", NOW)
    bench.states["b"] = ONLINE
    await bench.look()
    bench.states["a"] = silent(61)
    assert await bench.look() == ["agent.offline a"]
    bench.states["b"] = silent(30)
    assert await bench.look() == ["agent.offline a"]


async def test_an_agent_that_is_deleted_is_not_told(bench: Bench) -> None:
    await bench.look()
    await bench.store.delete_agent("a", NOW)
    assert await bench.look() == ["queue.unserved default"]


async def test_nobody_asks_nothing_is_kept(bench: Bench) -> None:
    await bench.look()
    await bench.store.change_webhook("w", WebhookChange(enabled=False), bench.now)
    bench.states["a"] = silent(61)
    assert await bench.look() == []
    await bench.store.change_webhook("w", WebhookChange(enabled=True), bench.now)
    assert await bench.look() == []
