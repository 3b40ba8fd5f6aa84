"""The network of clients that are awaited: non-blocking sockets on the running event loop.

Touches sockets.
"""

from __future__ import annotations

import asyncio
import socket

from remote_client.network import Wire, is_readable, keep_alive


class AsyncSocket:
    """A plain socket, as a wire of the running loop."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw

    async def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of it."""
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_sendall(self._raw, data)

    async def receive(self, size: int, timeout: float | None) -> bytes:
        """What has come."""
        async with asyncio.timeout(timeout):
            return await asyncio.get_running_loop().sock_recv(self._raw, size)

    def readable(self) -> bool:
        """Whether something can be read now."""
        return is_readable(self._raw)

    def close(self) -> None:
        """Close it at once."""
        self._raw.close()


class AsyncioNetwork:
    """Opens wires of the running loop."""

    async def connect(self, host: str, port: int, timeout: float) -> Wire:
        """A wire to one of the host's addresses."""
        loop = asyncio.get_running_loop()
        failure = OSError(f"the name {host} has no address")
        for family, kind, protocol, _, address in await loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            raw = socket.socket(family, kind, protocol)
            try:
                raw.setblocking(False)
                async with asyncio.timeout(timeout):
                    await loop.sock_connect(raw, address)
                keep_alive(raw)
                return AsyncSocket(raw)
            except OSError as error:
                raw.close()
                failure = error
            except BaseException:
                raw.close()
                raise
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
