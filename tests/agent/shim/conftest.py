"""One launcher with three shims for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keeper import Keeper


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path / "state")
    keeper.shims.start(3)
    try:
        yield keeper
    finally:
        keeper.close()
