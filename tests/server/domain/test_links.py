"""What the loops ask for is what the hub, and the tests' fake, offer."""

from __future__ import annotations

import inspect

import pytest

from remote_server.domain.links import Links
from remote_server.hub import Hub
from tests.support.fake_links import FakeLinks


@pytest.mark.parametrize("kind", [Hub, FakeLinks])
def test_it_has_every_method_with_the_same_parameters(kind: type) -> None:
    wanted = {name: item for name, item in vars(Links).items() if inspect.isfunction(item)}
    wanted = {name: item for name, item in wanted.items() if not name.startswith("_")}
    assert len(wanted) == 10
    for name, item in wanted.items():
        offered = getattr(kind, name)
        assert list(inspect.signature(offered).parameters) == list(
            inspect.signature(item).parameters
        )
        assert not inspect.iscoroutinefunction(offered)
