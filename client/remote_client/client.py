"""The Python client, for those that wait and for those that await: the same methods, written once.

Touches the network only. Calls that are safe to repeat are repeated when the link breaks or the
server restarts; a submitted job carries an idempotency key, so that repeating it is safe too.

    with Client("http://127.0.0.1:8750", token) as client:
        job = client.submit(CommandSpec(command=["make", "test"]))
        for record in client.follow_log(job.id):
            sys.stdout.buffer.write(record.data)
        print(client.wait(job.id).exit_code)

    async with AsyncClient("http://127.0.0.1:8750", token) as client:
        job = await client.submit(CommandSpec(command=["make", "test"]))
        async for record in client.follow_log(job.id):
            sys.stdout.buffer.write(record.data)
        print((await client.wait(job.id)).exit_code)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Self

from remote_client.calls import AsyncCalls
from remote_client.modes import Blocking
from remote_client.network import BlockingNetwork, Network
from remote_client.resources.agents import AgentMethods
from remote_client.resources.audit import AuditMethods
from remote_client.resources.groups import GroupMethods
from remote_client.resources.jobs import JobMethods
from remote_client.resources.logs import LogMethods
from remote_client.resources.queues import QueueMethods
from remote_client.resources.secrets import SecretMethods
from remote_client.resources.server import ServerMethods
from remote_client.resources.tokens import TokenMethods
from remote_client.resources.webhooks import WebhookMethods
from remote_client.transport import Transport

if TYPE_CHECKING:
    from types import TracebackType


class Methods(
    JobMethods,
    LogMethods,
    AgentMethods,
    QueueMethods,
    GroupMethods,
    TokenMethods,
    SecretMethods,
    WebhookMethods,
    AuditMethods,
    ServerMethods,
):
    """The methods of both clients. Each raises ApiError when the server refuses, Unreachable when
    it gives no usable answer."""

    def _open(self, transport: Transport) -> None:
        self._transport = transport
        self._calls = AsyncCalls(transport)
        self.url = transport.url


class AsyncClient(Methods):
    """A connection to one server, to be awaited; several tasks may share it.

    `url` is the server's base URL without `/api/v1`, `token` an API token; UsageError when one of
    them can be none. `notice` is told, in a sentence, when the server goes away and when it is
    back.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_file: str | None = None,
        timeout: float = 30.0,
        network: Network | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        if network is None:
            from remote_client.asyncio_network import AsyncioNetwork

            network = AsyncioNetwork()
        self._open(Transport(url, token, ca_file, timeout, network, notice))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()


class Client(Methods, Blocking):
    """The same, whose methods return when they are done. Not for several threads at once.

    `sleep` is called between repetitions.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_file: str | None = None,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._again: Callable[[], Client] = partial(
            Client, url, token, ca_file=ca_file, timeout=timeout, sleep=sleep, notice=notice
        )
        core = AsyncClient(
            url,
            token,
            ca_file=ca_file,
            timeout=timeout,
            network=BlockingNetwork(sleep),
            notice=notice,
        )
        self._core = core
        self._open(core._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def again(self) -> Client:
        """Another client for the same server and token, for another thread."""
        other = self._again()
        other._transport.reached = self._transport.reached
        return other
