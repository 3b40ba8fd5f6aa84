"""Object storages for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3.object_storages import Moto, SeaweedFS, installed


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    installed()
    found = Moto(tmp_path_factory.mktemp("moto"))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    installed()
    found = SeaweedFS(tmp_path_factory.mktemp("weed"))
    try:
        found.make("logs")
        yield found
    finally:
        found.close()
