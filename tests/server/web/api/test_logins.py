"""Logins by the API: what is no login; the whole way is in the tests of the page."""

from __future__ import annotations

import pytest

from tests.support.live_server import Live


@pytest.mark.parametrize("secret", ["x", "x" * 64])
async def test_an_unknown_secret_is_told(live: Live, secret: str) -> None:
    (await live.post("/logins/token", {"secret": secret}, "")).problem(404, "not_found")


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "a b"}, {"name": "x" * 500}])
async def test_a_program_needs_a_name(live: Live, body: dict[str, str]) -> None:
    (await live.post("/logins", body, "")).problem(422, "validation")


async def test_a_secret_has_a_bound(live: Live) -> None:
    (await live.post("/logins/token", {"secret": "x" * 65}, "")).problem(422, "validation")
    (await live.post("/logins/token", {"secret": "é"}, "")).problem(422, "validation")
