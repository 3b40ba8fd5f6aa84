"""A provider for each test, and this server's part that asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from remote_server.oidc.provider import Provider
from remote_server.oidc_settings import OidcPart
from tests.support.issuer import CLIENT, SECRET, Issuer, issuing

Asking = Callable[..., Provider]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """A provider on loopback."""
    async with issuing() as found:
        yield found


@pytest.fixture
async def asking(issuer: Issuer) -> AsyncIterator[Asking]:
    """Makes what asks the provider."""
    made: list[Provider] = []

    def make(secret: str | None = SECRET, clocks: Any = (), **more: Any) -> Provider:
        usual = {
            "issuer": issuer.url, "client_id": CLIENT, "url": "https://jobs.example/x/",
            "operator_groups": ["ops"], "timeout": 60,
        }  # fmt: skip
        settings = OidcPart.model_validate({**usual, **more})
        made.append(Provider(settings, secret, *clocks))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()
