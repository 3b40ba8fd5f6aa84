"""What the queries read: a real store and inputs, and links without sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_protocol.api.queues import QueueCreate
from remote_server.disk.reserve import Reserve
from remote_server.domain.queue_limits import QueueLimits
from remote_server.inputs import InputStore
from remote_server.queries.limited_store import LimitedStore
from remote_server.queries.sources import Sources
from remote_server.store import Store
from tests.server.store.test_registrations import hello
from tests.support.fake_links import FakeLinks
from tests.support.stored import NOW


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(str(tmp_path / "server.db"))
    yield opened
    await opened.close()


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks()


@pytest.fixture
def sources(store: Store, links: FakeLinks, tmp_path: Path) -> Sources:
    inputs = InputStore(tmp_path / "inputs", Reserve(tmp_path, 0), time.monotonic, 1 << 20, False)
    inputs.scan()
    return Sources(store, links, inputs, 60.0)


@pytest.fixture
async def mine(store: Store) -> LimitedStore:
    """That of the queues a and c; of the agents, one serves a, one b, one both."""
    for name in ("a", "b", "c"):
        await store.create_queue(QueueCreate(name=name), NOW)
    for name, queues in (("of-a", ("a",)), ("of-b", ("b",)), ("of-ab", ("a", "b"))):
        token = await store.create_token(
            "agent", f"hash {name}", name, NOW, agent=name, queues=queues
        )
        await store.bump_epoch(name, hello(), "", NOW, token)
    return LimitedStore(store, QueueLimits(frozenset({"a", "c"})))
