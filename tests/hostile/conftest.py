"""Places to attack: one that the tests of a module share, and such with settings of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.place import Place, Placed
from tests.support.stack import Stack


@contextmanager
def _placed(folder: Path, **server_env: str) -> Iterator[Place]:
    with Stack(folder, **server_env) as stack:
        stack.start_server()
        yield Place(stack)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place that the tests of a module share."""
    with _placed(tmp_path_factory.mktemp("place")) as place:
        yield place


@pytest.fixture
def placed(tmp_path: Path) -> Placed:
    """Places with settings of their own: `placed(LIMITS_MAX_JOB_LOG="1MiB")`."""
    return lambda **env: _placed(tmp_path, **env)
