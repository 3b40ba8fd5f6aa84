"""A whole server for the tests of the web."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.live_server import Live, config_for, running


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    """A running server."""
    async with running(config_for(tmp_path)) as found:
        yield found
