"""The extension `toy`, and others, installed for a test of this process. Touches `sys`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from remote_protocol import extensions
from remote_protocol.spec import JobSpec

TOY = Path(__file__).parent / "toy"
"""The folder to put on the path, for other processes by PYTHONPATH."""


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Have the extensions below a folder, as if they were installed."""
    before, kinds = set(sys.modules), dict(JobSpec.kinds)
    sys.path.append(str(folder))
    _forget()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
        for kind in set(JobSpec.kinds) - set(kinds):
            if not JobSpec.kinds[kind].__module__.startswith("remote_datahub"):
                del JobSpec.kinds[kind]
        _forget()


def _forget() -> None:
    # The namespace package looks at the path again when it is imported again.
    sys.modules.pop(extensions.NAMESPACE, None)
    extensions.names.cache_clear()
    extensions._entry.cache_clear()


@pytest.fixture
def toy() -> Iterator[None]:
    """The toy, for one test."""
    with installed(TOY):
        yield
