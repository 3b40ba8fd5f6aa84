"""Faults of the network in words."""

from __future__ import annotations

import socket
import ssl

import pytest

from remote_protocol.faults import (
    Route,
    cause_of,
    explain,
    is_kind,
    proxy_refusal,
    unanswered,
)
from remote_protocol.urls import Proxy


def test_errors_are_told_by_their_classes() -> None:
    assert is_kind(ssl.SSLCertVerificationError(), "SSLError")
    assert is_kind(ConnectionRefusedError(), "OSError")
    assert not is_kind(ConnectionRefusedError(), "gaierror")
    assert not is_kind(None, "OSError")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ssl.SSLError(1, "wrong version number (_ssl.c:1006)"), "wrong version number"),
        (ssl.SSLError(1, "broken record (None)."), "broken record"),
        (OSError("the proxy closed"), "the proxy closed"),
        (EOFError(), "EOFError"),
    ],
)
def test_a_cause_has_no_numbers_of_the_system(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


def route(url: str = "https://host:1/jobs", proxy: str = "") -> Route:
    return Route(url, Proxy(proxy, "HTTPS_PROXY") if proxy else None, "--ca-file", 20.0)


def untrusted(words: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = words
    return error


@pytest.mark.parametrize(
    ("error", "cause", "cure"),
    [
        (ConnectionRefusedError(), "nothing listens at host:1", "check that the server runs"),
        (TimeoutError(), "host:1 did not answer within 20 s", "firewalls"),
        (
            socket.gaierror(-2, "Name or service not known"),
            "the name host cannot be resolved (Name or service not known)",
            "DNS",
        ),
        (
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
            "TLS with host:1 failed: [SSL: WRONG_VERSION_NUMBER] wrong version number",
            "the port speaks no TLS: use http://",
        ),
        (
            ssl.SSLError(1, "record layer failure"),
            "TLS with host:1 failed: record layer failure",
            "the port speaks no TLS",
        ),
        (
            ssl.SSLError(1, "broken record (None)"),
            "TLS with host:1 failed: broken record",
            "check the certificates",
        ),
        (
            untrusted("certificate has expired"),
            "the certificate of host:1 is not trusted: certificate has expired",
            "renew it",
        ),
        (
            untrusted("Hostname mismatch, certificate is not valid for 'x'."),
            "the certificate of host:1 is not trusted: Hostname mismatch, certificate is not valid "
            "for 'x'",
            "the host name that it was made for",
        ),
        (
            untrusted("unable to get local issuer certificate"),
            "the certificate of host:1 is not trusted: unable to get local issuer certificate",
            "name that with --ca-file",
        ),
        (OSError(113, "No route to host"), "connecting to host:1 failed (No route to host)", "URL"),
    ],
)
def test_why_no_connection_came_about(error: Exception, cause: str, cure: str) -> None:
    fault = explain(error, route())
    assert fault.cause == cause
    assert cure in fault.cure


@pytest.mark.parametrize(
    ("error", "cause", "cure"),
    [
        (ConnectionRefusedError(), "the proxy http://p:2 refuses connections", "HTTPS_PROXY"),
        (socket.gaierror(-2, "unknown"), "the name p cannot be resolved (unknown)", "DNS"),
        (OSError(113, "No route"), "connecting to host:1 failed (No route)", "NO_PROXY"),
    ],
)
def test_a_proxy_on_the_way_is_named_without_its_password(
    error: Exception, cause: str, cure: str
) -> None:
    fault = explain(error, route(proxy="http://me:hunter2@p:2"))
    assert fault.cause == cause
    assert cure in fault.cure and "hunter2" not in fault.cure


def test_a_port_that_gives_no_http_answer() -> None:
    plain = route("http://me:hunter2@host:1")
    assert unanswered("reset", plain, closed=True) == (
        "no HTTP answer from host:1 (reset)",
        "if the port speaks TLS, use https://",
    )
    for where, closed in ((plain, False), (route(), True)):
        assert "check host and port" in unanswered("silence", where, closed).cure


@pytest.mark.parametrize(
    ("proxy", "status", "cause", "cure"),
    [
        (
            "http://p",
            407,
            "the proxy http://p wants a user name and a password (HTTP 407)",
            "put u",
        ),
        (
            "http://a:hunter2@p",
            407,
            "the proxy http://p refuses the user name",
            "correct them in H",
        ),
        ("http://p", 502, "the proxy http://p did not connect to host:1 (Bad Gateway)", "NO_PROXY"),
        ("", 407, "a proxy wants a user name and a password (HTTP 407)", "HTTPS_PROXY or HTTP_"),
    ],
)
def test_a_proxy_that_answers_itself(proxy: str, status: int, cause: str, cure: str) -> None:
    fault = proxy_refusal(route(proxy=proxy), status, "Bad Gateway")
    assert fault.cause.startswith(cause)
    assert cure in fault.cure and "hunter2" not in "".join(fault)
