"""A real store and a real folder of contents for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_server.contents import LocalContents
from remote_server.disk.reserve import Reserve
from remote_server.store import Store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url)
    yield opened
    assert await opened.check() == []
    await opened.close()


@pytest.fixture
def kept(tmp_path: Path) -> LocalContents:
    return LocalContents(tmp_path / "contents", Reserve(tmp_path, 0), durable=False)
