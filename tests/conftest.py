"""What holds for all tests: Ctrl-C as a terminal would give it; databases end with the run."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

# A shell starts what it puts into the background with Ctrl-C ignored, and children inherit that
# through exec (signal(7)): tests that press Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The URL of a fresh database of the kind that the run is about."""
    from tests.support.databases import new_database

    return new_database(tmp_path)


def pytest_sessionfinish() -> None:
    """End the PostgreSQL server of this process, if some test needed one."""
    databases = sys.modules.get("tests.support.databases")
    if databases is not None:
        databases.stop()
