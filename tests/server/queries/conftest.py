"""What the queries read: a real store and inputs, and links without sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_server.disk.reserve import Reserve
from remote_server.inputs import InputStore
from remote_server.queries.sources import Sources
from remote_server.store import Store
from tests.support.fake_links import FakeLinks


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
