"""One launcher with three shims for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shim_harness import ShimHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ShimHarness]:
    harness = ShimHarness(tmp_path / "state")
    harness.shims.start(3)
    try:
        yield harness
    finally:
        harness.close()
