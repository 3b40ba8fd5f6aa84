"""One launcher with three shims for each test, and what holds its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shim_harness import Gate, ShimHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ShimHarness]:
    harness = ShimHarness(tmp_path / "state")
    harness.shims.start(3)
    try:
        yield harness
    finally:
        harness.close()


@pytest.fixture
def gate(harness: ShimHarness, tmp_path: Path) -> Iterator[Gate]:
    """Closed before the shims end, so that no job outlives a test that has failed."""
    gate = Gate(tmp_path / "gate")
    try:
        yield gate
    finally:
        gate.close()
