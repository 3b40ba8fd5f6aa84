"""A database's file, with its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_server.store.sqlite.opening import prepare


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """It is opened by nobody."""
    prepare(tmp_path / "s.db")
    return tmp_path / "s.db"
