"""A real store on a fresh database for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_server.store import Store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url)
    yield opened
    assert await opened.check() == []
    await opened.close()


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store on SQLite, whatever the run is about: for what only that database does."""
    opened = await Store.open(str(tmp_path / "server.db"))
    yield opened
    assert await opened.check() == []
    await opened.close()
