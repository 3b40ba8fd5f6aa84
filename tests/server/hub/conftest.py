"""A hub with everything around it for the tests of links."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from remote_server.hub import HubTerms
from tests.support.live_hub import LiveHub, live_hub


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[LiveHub]:
    """A running hub."""
    async with live_hub(tmp_path, HubTerms()) as found:
        yield found


@pytest.fixture
def said() -> Iterator[LogCapture]:
    """What the server logs."""
    capture = LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()
