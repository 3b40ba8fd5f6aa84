"""All agents in short."""

from __future__ import annotations

from remote_protocol.messages import Condition, Hello, Platform, Settings
from remote_server.store import Store
from tests.support.stored import NOW

HELLO = Hello(
    oldest=1,
    newest=1,
    installation="i",
    session="0" * 26,
    agent_version="0.3",
    settings=Settings(labels={"site": "berlin"}, capacity={"default": 3}),
    platform=Platform(hostname="vm-7"),
)


async def test_agents_are_read_in_short(store: Store) -> None:
    await store.bump_epoch("b", HELLO, "10.0.0.1", NOW)
    await store.bump_epoch("a", HELLO, "10.0.0.1", NOW)
    await store.set_wishes("a", NOW, paused=True, comment="update", draining=True)
    await store.set_condition("b", Condition(accepting=False, reason="disk low"))
    a, b = await store.fleet()
    assert (a.name, a.queues, a.labels, a.capacity) == (
        "a",
        ("default",),
        {"site": "berlin"},
        {"default": 3},
    )
    assert (a.paused, a.pause_comment, a.draining, a.accepting) == (True, "update", True, True)
    assert (b.accepting, b.reason, b.version, b.host) == (False, "disk low", "0.3", "vm-7")
    assert b.last_seen_at == NOW


async def test_several_agents_are_read_whole(store: Store) -> None:
    for name in ("a", "b", "c"):
        await store.bump_epoch(name, HELLO, "10.0.0.1", NOW)
    found = await store.agents_named(["c", "gone", "a"])
    assert [agent.name for agent in found] == ["c", "a"]
    assert found[0] == await store.agent("c")
