"""Which certificates are trusted, and TLS inside the TLS of a proxy."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from remote_client.asyncio_network import AsyncSocket
from remote_client.errors import UsageError
from remote_client.modes import run
from remote_client.network import Socket, Wire
from remote_client.tls import TlsWire, trust


def test_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    given = trust(str(tmp_path / "ca.pem")).get_ca_certs()
    assert len(given) == 1
    # The system's own, wherever OpenSSL is told that they lie.
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert given[0] in trust(None).get_ca_certs()
    with pytest.raises(UsageError, match="No such file"):
        trust("/no/such.pem")


def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    return made


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_tls_inside_tls(tmp_path: Path, kind: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        # The far end: it undoes the outer TLS, and answers inside of the inner one.
        with context(authority, "proxy.test").wrap_socket(theirs, server_side=True) as outer:
            come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
            inner = context(authority, "host.test").wrap_bio(come, go, server_side=True)
            heard = b""
            while heard != b"x" * 200_000:
                try:
                    heard += inner.read(1 << 16)
                except ssl.SSLWantReadError:
                    outer.sendall(go.read())
                    come.write(outer.recv(1 << 16))
            inner.write(b"heard")
            outer.sendall(go.read())

    thread = threading.Thread(target=serve)
    thread.start()
    trusted = trust(str(tmp_path / "ca.pem"))

    async def talk(wire: Wire) -> None:
        for name in ("proxy.test", "host.test"):
            wire = secured = TlsWire(wire, trusted, name)
            await secured.handshake(20)
        await wire.send(b"x" * 200_000, 20)
        assert await wire.receive(100, 20) == b"heard"
        wire.close()

    if kind == "blocking":
        run(talk(Socket(ours)))
    else:
        ours.setblocking(False)
        asyncio.run(talk(AsyncSocket(ours)))
    thread.join(30)
    assert not thread.is_alive()
