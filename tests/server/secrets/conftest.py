"""A real store on a fresh database, and a vault on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_server.secrets.source import KeyFile
from remote_server.secrets.vault import Vault
from remote_server.store import Store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url)
    yield opened
    assert await opened.check() == []
    await opened.close()


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "secrets.key", own=True)


@pytest.fixture
def vault(store: Store, key_file: KeyFile) -> Vault:
    return Vault(store, key_file)
