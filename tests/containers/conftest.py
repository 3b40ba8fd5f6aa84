"""One engine for all tests of this folder, with both images and a server that runs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.containers.engine import Engine
from tests.containers.stack import Stack

BASE = "debian:12-slim"
"""A name that the documents have, for a base image that was made here."""
PYTHON = "python:3.13-slim"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine that has the base image and nothing else."""
    assert os.geteuid() == 0, "make test-containers needs root, to run a container engine"
    with Engine() as engine:
        engine.import_base(BASE, PYTHON)
        yield engine


@pytest.fixture(scope="session")
def images(engine: Engine) -> Engine:
    """It has the images `remote-agent` and `remote-server`, too."""
    engine.build("agent", BASE, "remote-agent")
    engine.build("server", PYTHON, "remote-server")
    return engine


@pytest.fixture(scope="session")
def stack(images: Engine) -> Iterator[Stack]:
    """A server that runs in a container."""
    stack = Stack(images)
    stack.start_server()
    yield stack
    stack.remove("server")
