"""TLS: which certificates are trusted, and TLS inside a proxy's own TLS. Touches CA files.

Loaded only for https: OpenSSL takes longer to load than a whole call over a loopback link.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from remote_client.errors import UsageError

T = TypeVar("T")


class Wire(Protocol):
    """What a connection needs of a socket, plain or with TLS."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it. OSError."""

    def recv(self, size: int, /) -> bytes:
        """What has come, empty when the other side has closed. OSError."""

    def settimeout(self, seconds: float | None, /) -> None:
        """For both of them; TimeoutError when it passes."""

    def fileno(self) -> int:
        """Of the socket below."""

    def close(self) -> None:
        """Close it at once."""


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


class Inner:
    """TLS to a server through a connection that has TLS to its proxy; the handshake is done."""

    def __init__(self, below: Wire, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._come, self._go, server_hostname=host)
        self._until_done(self._tls.do_handshake)

    def sendall(self, data: bytes, /) -> None:
        """Send all of it. OSError."""
        while data:
            data = data[self._until_done(partial(self._tls.write, data)) :]

    def recv(self, size: int, /) -> bytes:
        """What has come, empty when the other side has closed. OSError."""
        try:
            return self._until_done(partial(self._tls.read, size))
        except ssl.SSLEOFError:
            return b""

    def settimeout(self, seconds: float | None, /) -> None:
        """For both of them; TimeoutError when it passes."""
        self._below.settimeout(seconds)

    def fileno(self) -> int:
        """Of the socket below."""
        return self._below.fileno()

    def close(self) -> None:
        """Close it at once."""
        self._below.close()

    def _until_done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._below.recv(64 * 1024):
                    self._come.write(data)
                else:
                    self._come.write_eof()
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if data := self._go.read():
            self._below.sendall(data)
