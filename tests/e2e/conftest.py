"""A stack of real processes for a module, and a fresh one for tests that break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with one agent of four places, shared by the tests of a module."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.start_server()
        stack.agent("alpha", "--label", "disk=ssd", capacity=4)
        yield stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server of its own, without agents."""
    with Stack(tmp_path) as stack:
        stack.start_server()
        yield stack


@pytest.fixture
def alert(tmp_path: Path) -> Iterator[Stack]:
    """One that soon notices that an agent is silent. So it may take one for silent that has to wait
    for the processor: jobs on it tolerate some seconds of silence."""
    with Stack(tmp_path, AGENTS_HEARTBEAT_INTERVAL="1s") as stack:
        stack.start_server()
        yield stack
