"""A whole server for the tests of the web."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_server.web.logs import index
from tests.support.live_server import Live, config_for, running


@pytest.fixture(autouse=True)
def all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of logs are looked for to the end: a busy machine breaks nothing off."""
    monkeypatch.setattr(index, "LOOKING", 60.0)


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    """A running server."""
    async with running(config_for(tmp_path)) as found:
        yield found
