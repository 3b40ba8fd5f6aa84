"""The server, asked by both clients."""

from __future__ import annotations

from typing import Any

from tests.support.fake_api import FakeApi


def test_what_it_is(api: FakeApi, both: Any) -> None:
    api.on("GET", "/version", {"version": "1.2.3", "protocol": 1})
    assert (both.version().version, api.calls[0].path) == ("1.2.3", "/version")
