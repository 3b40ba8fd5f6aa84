"""The network of `remotectl doctor` against real sockets."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import trustme

from remote_client.sockets import SocketNetwork
from remote_protocol.reachability.exchange import get
from tests.support.scripted import Scripted, http


def network(timeout: float = 30.0) -> SocketNetwork:
    return SocketNetwork(ssl.create_default_context, timeout)


def test_an_answer() -> None:
    with Scripted(http(200, b"hello", extra="Yes")) as place:
        wire = network().connect("127.0.0.1", place.port)
        answer = get(network(), wire, "h:1", "/path", {"Accept": "*/*"})
        assert (answer.status, answer.body, answer.headers["extra"]) == (200, b"hello", "Yes")
        assert place.asked[0].startswith(b"GET /path HTTP/1.1\r\n")
        assert place.asked[0].count(b"\r\nHost: h:1\r\n") == 1
    assert network().resolve("127.0.0.1", 1) == ["127.0.0.1"]
    assert network().now() > 1e9


def test_what_is_no_http_is_an_error_of_the_network() -> None:
    with Scripted(b"SSH-2.0-x\r\n") as place:
        wire = network().connect("127.0.0.1", place.port)
        with pytest.raises(OSError, match="not HTTP"):
            get(network(), wire, "h", "/", {})


def test_of_a_stream_only_the_beginning_is_waited_for() -> None:
    kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    head = b"HTTP/1.1 200 OK\r\n" + kind + b"\r\n"

    def serve(pieces: list[bytes]) -> None:
        wire, _ = listener.accept()
        with wire:
            wire.recv(4096)
            for piece in pieces:
                wire.sendall(piece)
            wire.recv(1)

    for pieces, comes in (([head, b"4\r\n: e\n\r\n"], True), ([head], False), ([], False)):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(pieces,))
            thread.start()
            patient = network(30.0 if comes else 0.2)
            wire = patient.connect(*listener.getsockname())
            if comes:
                assert get(patient, wire, "h", "/", {}).body.startswith(b": e")
            else:
                with pytest.raises(TimeoutError):
                    get(patient, wire, "h", "/", {})
            wire.close()
            thread.join()


def test_tls_and_what_is_none() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    trusting = SocketNetwork(lambda: trust, 30.0)
    with Scripted(http(200), server) as place:
        wire, ends = trusting.secure(trusting.connect("127.0.0.1", place.port), "127.0.0.1")
        assert ends > trusting.now()
        wire.close()
        assert trusting.speaks_tls(trusting.connect("127.0.0.1", place.port))
    with Scripted(http(200)) as place:
        assert not trusting.speaks_tls(trusting.connect("127.0.0.1", place.port))
