"""Every fault of the way to a server, made for real on loopback, and named by the live checks."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from remote_agent.doctor.network import SocketNetwork
from remote_protocol.reachability.steps import CHECKS, examine
from remote_protocol.reachability.target import Target
from remote_protocol.report import Finding, Status
from tests.support.connect_proxy import ConnectProxy
from tests.support.fake_http import VERSION
from tests.support.scripted import Scripted, http

OURS = json.dumps(VERSION).encode()
SECRET = "p%40ss"


class Authority:
    """A CA, and servers with certificates of it."""

    def __init__(self, root: Path) -> None:
        self.ca = trustme.CA()
        self.file = str(root / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def server(self, *names: str, **more: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("127.0.0.1",)), **more).configure_cert(context)
        return context

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def look(
    url: str,
    authority: Authority | None = None,
    proxy: str | None = None,
    tunnels: bool = True,
    trust: object = None,
    timeout: float = 60.0,
) -> dict[str, Finding]:
    """What the checks find, by check. Every one is there, and nothing repeats a secret."""
    known = trust or (authority.trust if authority else ssl.create_default_context)
    target = Target(url, proxy, "HTTPS_PROXY" if proxy else "", tunnels=tunnels)
    found, reached = examine(target, SocketNetwork(known, timeout))  # type: ignore[arg-type]
    assert [one.check for one in found] == [check.name for check in CHECKS]
    assert SECRET not in str(found) and "p@ss" not in str(found)
    assert reached == (found[-1].status is Status.PASS)
    return {one.check: one for one in found}


def fails(found: dict[str, Finding], check: str, code: str) -> Finding:
    """The finding of this code; everything after it was skipped."""
    one = found[check]
    assert (one.status, one.code) == (Status.FAIL, code), one
    assert one.finding and one.cure
    later = list(found.values())[list(found).index(check) + 1 :]
    assert {(skipped.status, skipped.why) for skipped in later} <= {
        (Status.SKIP, f"needs: {check}")
    }
    return one


def url_of(place: Scripted, scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{place.port}"


@pytest.fixture(scope="module")
def ours() -> Iterator[Scripted]:
    """Something that answers as a remote-server does."""
    with Scripted(http(200, OURS)) as place:
        yield place


def test_a_good_way(ours: Scripted, authority: Authority) -> None:
    found = look(url_of(ours))
    assert found.pop("tls").code == "not_encrypted"
    assert {one.status for one in found.values()} == {Status.PASS}
    assert b"Authorization" not in ours.asked[-1]
    with Scripted(http(200, OURS), authority.server()) as place:
        found = look(url_of(place, "https"), authority)
    assert {one.status for one in found.values()} == {Status.PASS}
    assert "more days" in found["tls"].finding


def test_a_name_that_nobody_knows() -> None:
    one = fails(look("http://nowhere.invalid:1"), "name", "name_unknown")
    assert "nowhere.invalid" in one.finding


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        fails(
            look(f"http://127.0.0.1:{probe.getsockname()[1]}"), "connection", "connection_refused"
        )


def test_a_host_that_drops_what_comes() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):  # its queue of connections is full
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        fails(look(url, timeout=0.5), "connection", "connection_timed_out")


def test_a_host_without_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_route(*_: object) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(socket, "create_connection", no_route)
    fails(look("http://127.0.0.1:1"), "connection", "connection_failed")


# TLS -----------------------------------------------------------------------------------------


def test_certificates_that_are_not_trusted(authority: Authority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    elsewhere = Authority(tmp_path)
    for context, code in (
        (elsewhere.server(), "certificate_untrusted"),
        (authority.server("jobs.example.com"), "certificate_of_another_name"),
        (authority.server(not_after=now - timedelta(days=1)), "certificate_expired"),
        (authority.server(not_before=now + timedelta(days=1)), "certificate_not_yet_valid"),
    ):
        with Scripted(http(200, OURS), context) as place:
            fails(look(url_of(place, "https"), authority), "tls", code)
    with Scripted(http(200, OURS), authority.server("jobs.example.com")) as place:
        url = url_of(place, "https", "localhost")
        fails(look(url, authority), "tls", "certificate_of_another_name")


def test_a_certificate_that_ends_soon_is_a_fault_and_no_end(authority: Authority) -> None:
    soon = authority.server(not_after=datetime.now(UTC) + timedelta(days=3))
    with Scripted(http(200, OURS), soon) as place:
        found = look(url_of(place, "https"), authority)
    assert (found["tls"].status, found["tls"].code) == (Status.FAIL, "certificate_expires_soon")
    assert found["version"].status is Status.PASS


def test_ports_of_the_other_kind(ours: Scripted, authority: Authority) -> None:
    fails(look(url_of(ours, "https"), authority), "tls", "port_speaks_no_tls")
    with Scripted(http(200, OURS), authority.server()) as place:
        one = fails(look(url_of(place)), "server", "port_speaks_tls")
        assert f"https://127.0.0.1:{place.port}" in one.cure


def test_files_of_certificates_that_cannot_be_used(ours: Scripted, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate\n")
    for file in (empty, tmp_path / "missing.pem"):
        trust = partial(ssl.create_default_context, cafile=str(file))
        fails(look(url_of(ours, "https"), trust=trust), "tls", "ca_file_unusable")


def test_a_middlebox_that_cuts_tls() -> None:
    with Scripted(b"") as place:
        fails(look(url_of(place, "https")), "tls", "tls_failed")


def test_a_server_that_wants_a_certificate(authority: Authority) -> None:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    authority.ca.configure_trust(context)
    with Scripted(http(200, OURS), context) as place:
        found = look(url_of(place, "https"), authority)
    assert "client_cert" in fails(found, "server", "client_certificate_wanted").cure
    words = b"<html>400 No required SSL certificate was sent</html>"
    with Scripted(http(400, words), authority.server()) as place:
        fails(look(url_of(place, "https"), authority), "server", "client_certificate_wanted")


# The proxy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tunnels", [True, False])
def test_a_proxy_and_its_password(ours: Scripted, tunnels: bool) -> None:
    see = partial(look, "http://jobs.invalid:8750", tunnels=tunnels)
    with ConnectProxy(("127.0.0.1", ours.port), "me:p@ss") as proxy:
        found = see(proxy=f"http://me:{SECRET}@{proxy.place}")
        assert found["proxy"].status is found["version"].status is Status.PASS
        assert f"through {proxy.place}, named by HTTPS_PROXY" in found["proxy"].finding
        first = see(proxy=proxy.url)
        second = see(proxy=f"http://me:{SECRET}wrong@{proxy.place}")
    for found, code in ((first, "proxy_needs_password"), (second, "proxy_wrong_password")):
        assert (found["proxy"].status, found["proxy"].code) == (Status.FAIL, code)
        assert found["version"].why == "needs: proxy"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http(403), "proxy_refuses"),
        (http(502), "proxy_cannot_reach_server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "proxy_speaks_no_http"),
        (b"", "proxy_speaks_no_http"),
    ],
    ids=["403", "502", "ssh", "nothing"],
)
def test_proxies_that_do_not_let_through(answer: bytes, code: str) -> None:
    with Scripted(answer) as proxy:
        found = look("https://jobs.invalid", proxy=f"http://me:{SECRET}@127.0.0.1:{proxy.port}")
        assert proxy.asked[0].startswith(b"CONNECT jobs.invalid:443 ")
    fails(found, "proxy", code)


def test_a_proxy_that_is_not_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{probe.getsockname()[1]}"
        one = fails(look("http://jobs.invalid", proxy=proxy), "proxy", "proxy_unreachable")
        assert "jobs.invalid in NO_PROXY" in one.cure
    found = look("http://jobs.invalid", proxy="http://proxy.invalid:3128")
    assert "of the proxy" in fails(found, "name", "name_unknown").finding


def test_a_proxy_of_another_kind() -> None:
    found = look("http://jobs.invalid", proxy=f"socks5://me:{SECRET}@127.0.0.1:1080")
    assert (found["proxy"].status, found["proxy"].code) == (Status.FAIL, "proxy_unusable")
    assert found["name"].status is Status.SKIP


# What answers --------------------------------------------------------------------------------


def test_what_is_no_remote_server() -> None:
    for answer, code in (
        (http(200, b"<html>hello</html>"), "not_a_remote_server"),
        (http(200, json.dumps({**VERSION, "product": "other"}).encode()), "not_a_remote_server"),
        (http(404), "not_a_remote_server"),
        (http(503), "server_away"),
        (http(302, location="https://login.example.com/?next=secret"), "redirected"),
        (b"220 mail.example.com ESMTP\r\n", "no_http_answer"),
        (b"", "no_http_answer"),
    ):
        with Scripted(answer) as place:
            one = fails(look(url_of(place)), "server", code)
            assert "next=secret" not in str(one)


@pytest.mark.parametrize(
    ("begins", "code"),
    [(b"HTTP/1.1 200 OK\r\nX: ", "no_http_answer"), (b"HTTP/1.1 ", "proxy_unreachable")],
    ids=["server", "proxy"],
)
def test_who_sends_a_byte_from_time_to_time_holds_nobody(begins: bytes, code: str) -> None:
    left = threading.Event()

    def drip(wire: socket.socket) -> None:
        with wire, suppress(OSError):
            wire.recv(4096)
            wire.sendall(begins)
            while not left.wait(0.1):
                wire.sendall(b"x")

    def serve() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=drip, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [threading.Thread(target=serve)]
        threads[0].start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxied = code.startswith("proxy")
        # What an answer may take, and less than all that could be sent.
        there = partial(look, timeout=1.0)
        found = there("https://jobs.invalid", proxy=url) if proxied else there(url)
        left.set()
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
    fails(found, "proxy" if proxied else "server", code)


def test_a_redirect_to_the_server_says_where() -> None:
    with Scripted(http(308, location="https://jobs.example.com/api/v1/version")) as place:
        one = fails(look(url_of(place)), "server", "redirected")
    assert "use https://jobs.example.com in" in one.cure


def test_a_path_too_many() -> None:
    def serve() -> None:
        for status in (404, 200):
            wire, _ = listener.accept()
            # First TCP is tried alone, then each request has a connection.
            while not (head := wire.recv(4096)):
                wire.close()
                wire, _ = listener.accept()
            assert (b"GET /gms/api/v1/version" in head) == (status == 404)
            wire.sendall(http(status, OURS if status == 200 else b""))
            wire.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        one = fails(look(f"http://127.0.0.1:{port}/gms"), "server", "wrong_path")
        thread.join()
    assert "leave /gms out" in one.cure


@pytest.mark.parametrize(
    ("date", "code"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", "clock_differs"),
        ("Sun, 06 Nov 2094 08:49:37 GMT", "clock_differs"),
        ("yesterday", "no_date"),
        ("", "no_date"),
    ],
)
def test_clocks(date: str, code: str) -> None:
    with Scripted(http(200, OURS, date=date)) as place:
        found = look(url_of(place))
    assert found["clock"].code == code
    assert found["version"].status is Status.PASS
    if code == "clock_differs":
        assert ("ahead of" if "1994" in date else "behind") in found["clock"].finding


@pytest.mark.parametrize("protocol", [0, 99])
def test_a_version_that_does_not_fit(protocol: int) -> None:
    with Scripted(http(200, json.dumps({**VERSION, "protocol": protocol}).encode())) as place:
        one = fails(look(url_of(place)), "version", "version_incompatible")
    assert ("server" if protocol == 0 else "program on this host") in one.cure
