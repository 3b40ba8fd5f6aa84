"""URLs of servers and proxies: what is taken, and the sentence that says why something is not."""

from __future__ import annotations

from base64 import b64decode

import pytest

from remote_protocol.urls import (
    Proxy,
    choose_proxy,
    collector_url,
    is_loopback,
    is_unencrypted,
    proxy_authorization,
    server_url,
)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://jobs.example.com", "https://jobs.example.com"),
        (" https://jobs.example.com/ ", "https://jobs.example.com"),
        ("http://[::1]:8750", "http://[::1]:8750"),
        ("https://example.com/remote/", "https://example.com/remote"),
    ],
)
def test_good_urls(given: str, kept: str) -> None:
    assert server_url(given) == kept


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("jobs.example.com", "has no scheme; did you mean https://jobs.example.com"),
        ("jobs.example.com:8750", "has no scheme"),
        ("ftp://jobs.example.com", "has the scheme 'ftp'; it must be http or https"),
        ("wss://jobs.example.com", "give the server's HTTP address, https://jobs.example.com"),
        ("https://", "does not name a host"),
        ("https://host:0", "a port from 1 to 65535"),
        ("https://host:99999", "a port from 1 to 65535"),
        ("https://host:abc", "a port from 1 to 65535"),
        ("https://ho st", "contains spaces"),
        ("https://host?x=1", "only scheme, host, port and path prefix"),
        ("https://host/api/v1/", "includes the path of the API; leave /api/v1 out"),
        ("https://me:secret@host", "holds a user or a password"),
    ],
)
def test_bad_urls(given: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        server_url(given)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unlucky_url_without_a_scheme_hides_its_password() -> None:
    for given in ("me:secret@host", "//me:secret@host", "http:/me:secret@host"):
        with pytest.raises(ValueError, match="scheme") as caught:
            server_url(given)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("127.0.0.1", True), ("127.9.9.9", True),
        ("::1", True), ("10.0.0.1", False), ("localhost.example.com", False), ("", False),
        ("a.localhost", False), ("fe80::1", False), ("127.0.0.1.example.com", False),
        ("cafe", False),
    ],
)  # fmt: skip
def test_which_host_is_this_one(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours


def test_what_can_be_read_on_the_way() -> None:
    assert is_unencrypted("http://host:8750")
    assert not is_unencrypted("https://host")
    assert not is_unencrypted("http://127.0.0.1:8750")
    assert not is_unencrypted("http://[::1]:8750")


def nothing(_: str) -> bool:
    return False


def test_the_proxy_of_the_scheme_goes_before_the_one_for_all() -> None:
    named = {"https": "http://a:1", "all": "b:2"}
    assert choose_proxy("https://host", named, nothing) == Proxy("http://a:1", "HTTPS_PROXY")
    assert choose_proxy("http://host", named, nothing) == Proxy("http://b:2", "ALL_PROXY")
    assert choose_proxy("http://host", {}, nothing) is None
    assert choose_proxy("http://host", {"http": ""}, nothing) is None


def test_exceptions_are_asked_with_host_and_port() -> None:
    asked: list[str] = []

    def bypassed(place: str) -> bool:
        asked.append(place)
        return True

    assert choose_proxy("https://host:8750/x", {"https": "http://a:1"}, bypassed) is None
    assert asked == ["host:8750"]


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("http://proxy:3128", True), ("https://me:pass@proxy", True), ("socks5://p:1", False),
        ("http://", False), ("http://proxy:99999", False), ("http://[::1", False),
    ],
)  # fmt: skip
def test_which_proxies_can_be_used(url: str, usable: bool) -> None:
    assert Proxy(url, "HTTP_PROXY").usable is usable


def test_a_proxy_is_shown_without_its_password() -> None:
    assert Proxy("http://me:p@ss@proxy:3128", "X").place == "http://proxy:3128"
    assert Proxy("http://proxy:3128", "X").place == "http://proxy:3128"


def test_a_password_is_sent_as_it_is_meant() -> None:
    assert proxy_authorization("http://proxy:3128") is None
    said = proxy_authorization("http://me:p%40ss%3A@proxy:3128") or ""
    assert b64decode(said.removeprefix("Basic ")) == b"me:p@ss:"


@pytest.mark.parametrize(
    "url", ["collector:4318", "ftp://a", "http://", "http://a?b=c", "http://a:0"]
)
def test_what_is_no_collector(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^this is not the URL of a collector, for example"
    ) as told:
        collector_url(url, "leave it out")
    assert "a:0" not in str(told.value) and "b=c" not in str(told.value)


def test_a_collectors_password_is_refused() -> None:
    assert collector_url("http://a:4318/b", "leave it out") == "http://a:4318/b"
    with pytest.raises(ValueError, match=r"has a password in it.*; leave it out$") as told:
        collector_url("http://a:secret@b", "leave it out")
    assert "secret" not in str(told.value)
