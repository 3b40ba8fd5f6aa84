"""A store on a fresh database of a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remote_server.store import Store
from remote_server.store.postgresql import database
from tests.support.databases import server


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a fresh database; who lost it may try again soon."""
    monkeypatch.setattr(database, "RETRY", 0.05)
    return server().create_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """A store on it."""
    opened = await Store.open(url)
    yield opened
    await opened.close()
