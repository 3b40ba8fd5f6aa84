"""Both clients, called in the same way: what one can do, the other can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from remote_client.asyncio_network import AsyncioNetwork
from remote_client.client import AsyncClient, Client
from tests.support.fake_api import TOKEN, FakeApi


class SleeplessNetwork(AsyncioNetwork):
    """Does not wait between repetitions."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Driven:
    """An asynchronous client whose calls are run to their end on a loop of the test's own."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, name: str) -> Any:
        bound = getattr(self._client, name)

        async def run(*args: Any, **named: Any) -> Any:
            made = bound(*args, **named)
            if isinstance(made, AsyncIterator):
                return [item async for item in made]
            return await made

        return lambda *args, **named: self._runner.run(run(*args, **named))


@pytest.fixture(params=["blocking", "asyncio"])
def both(request: pytest.FixtureRequest, api: FakeApi) -> Iterator[Any]:
    """Each of the two clients."""
    if request.param == "blocking":
        with Client(api.url, TOKEN, sleep=lambda _: None) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        driven = AsyncClient(api.url, TOKEN, network=SleeplessNetwork())
        yield Driven(runner, driven)
        driven.close()
