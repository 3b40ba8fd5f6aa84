"""TLS: which certificates are trusted, and a wire with TLS over any other one. Touches CA files.

Loaded only for https: OpenSSL takes longer to load than a whole call over a loopback link.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from remote_client.errors import UsageError
from remote_client.network import Wire

T = TypeVar("T")
_PIECE: Final = 256 * 1024


def trust(ca_file: str | None) -> ssl.SSLContext:
    """What servers are verified with: the system's CAs, or those of one file. UsageError.

    The system's, as the agent does: a company's own CA is installed there.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            f"The CA file {ca_file} cannot be used: {error.strerror or error}; "
            "it must hold certificates in PEM form"
        ) from None


class TlsWire:
    """TLS over a wire, which may have TLS itself, to a proxy. `handshake` first."""

    def __init__(self, below: Wire, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._come, self._go, server_hostname=host)

    async def handshake(self, timeout: float | None) -> None:
        """Agree with the other side. OSError (ssl.SSLError is one), TimeoutError."""
        await self._until_done(self._tls.do_handshake, timeout)

    async def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of it."""
        while data:
            data = data[await self._until_done(partial(self._tls.write, data), timeout) :]

    async def receive(self, size: int, timeout: float | None) -> bytes:
        """What has come, empty when the other side has closed."""
        try:
            return await self._until_done(partial(self._tls.read, size), timeout)
        except ssl.SSLEOFError:
            return b""

    def readable(self) -> bool:
        """Whether something can be read now."""
        return self._come.pending > 0 or self._below.readable()

    def close(self) -> None:
        """Close it at once."""
        self._below.close()

    async def _until_done(self, step: Callable[[], T], timeout: float | None) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._flush(timeout)
                if data := await self._below.receive(_PIECE, timeout):
                    self._come.write(data)
                else:
                    self._come.write_eof()
            except ssl.SSLError:
                # The other side is told why, if it still listens.
                with suppress(OSError):
                    await self._flush(timeout)
                raise
            else:
                await self._flush(timeout)
                return done

    async def _flush(self, timeout: float | None) -> None:
        if data := self._go.read():
            await self._below.send(data, timeout)
