"""Sentences about a server that cannot be reached, and how often they are logged."""

from __future__ import annotations

import http.client
import json
import socket
import ssl

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidProxy, InvalidProxyStatus
from websockets.http11 import Response

from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.faults import FailureLog, explain, problem_of
from tests.support.fake_server import TOKEN


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """No settings of the developer reach a test."""
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


def test_a_failure_is_logged_once_and_again_when_it_changes(capsys):
    failures = FailureLog()
    for _ in range(5):
        failures.failed("nothing listens at here:1")
    failures.failed("here:1 did not answer")
    failures.over("here:1")
    failures.over("here:1")
    printed = capsys.readouterr().out
    assert printed.count("cannot reach the server; running jobs go on") == 2
    assert printed.count("reached the server again") == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "nothing listens at host:1"),
        (TimeoutError(), "did not answer within 20 s"),
        (socket.gaierror(-2, "Name or service not known"), "host cannot be resolved"),
        (ssl.SSLError(1, "wrong version number"), "speaks no TLS: use http://"),
        (ssl.SSLError(1, "wrong version number (_ssl.c:1006)"), "failed: wrong version number;"),
        (ssl.SSLError(1, "broken record (None)"), "failed: broken record;"),
        (ssl.SSLError(1, "[X509: NO_CERTIFICATE_OR_CRL_FOUND]"), "no certificates in PEM format"),
        (FileNotFoundError(2, "no", "/etc/ca.pem"), "/etc/ca.pem is missing"),
        (InvalidProxy("http://me:hunter2@x y", "no"), "the proxy's URL is not usable"),
        (EOFError(), "EOFError"),
        (http.client.RemoteDisconnected("gone"), "no HTTP answer from host:1 (gone)"),
        (
            OSError("Tunnel connection failed: 407 Proxy Authentication Required"),
            "a proxy wants a user name and a password",
        ),
        (ConnectionRefusedError(111, "Connect call failed ('1.2.3.4', 4073)"), "nothing listens"),
        (
            InvalidProxyStatus(Response(407, "", Headers())),
            "a proxy wants a user name and a password",
        ),
        (
            InvalidProxyStatus(Response(502, "", Headers())),
            "a proxy did not connect to host:1 (HTTP 502)",
        ),
    ],
)
def test_every_failure_has_a_cause_and_a_cure(error, words):
    text = explain(error, Endpoint("http://host:1", TOKEN))
    assert words in text
    assert all(text.partition("; "))
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("Hostname mismatch, certificate is not valid for 'host'.", "the host name that it was"),
        ("certificate has expired", "renew it"),
        ("self-signed certificate in certificate chain", "[server] ca_file"),
    ],
)
def test_a_refused_certificate_has_its_own_cure(words, cure):
    error = ssl.SSLCertVerificationError()
    error.verify_message = words
    text = explain(error, Endpoint("https://host:1", TOKEN))
    assert words.rstrip(".") in text and cure in text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "the proxy http://proxy:3128 refuses connections"),
        (socket.gaierror(-2, "Name or service not known"), "the name proxy cannot be resolved"),
    ],
)
def test_a_failure_before_the_proxy_names_the_proxy(error, words):
    text = explain(error, Endpoint("https://host", TOKEN, proxy="http://me:hunter2@proxy:3128"))
    assert words in text
    assert "hunter2" not in text


@pytest.mark.parametrize("body", [None, b"", b"<html>", b"[1]", b"3", b"[" * 100_000])
def test_an_answer_that_is_no_problem_has_no_code(body):
    assert problem_of(body) == ("", "")


def test_of_a_long_detail_the_beginning_is_kept():
    code, detail = problem_of(json.dumps({"code": "c" * 9999, "detail": "d" * 9999}).encode())
    assert len(code) == len(detail) == 2000


def test_code_and_detail_of_a_problem():
    assert problem_of(b'{"code": "invalid_token", "detail": "revoked"}') == (
        "invalid_token",
        "revoked",
    )
