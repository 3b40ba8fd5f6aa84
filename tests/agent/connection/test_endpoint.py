"""Sentences about a server that cannot be reached, and how often they are said."""

from __future__ import annotations

import socket
import ssl

import pytest
from websockets.exceptions import InvalidProxy

from remote_agent.connection.endpoint import Endpoint, FailureLog, explain, problem_of
from tests.support.fake_server import TOKEN


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """No settings of the developer reach a test."""
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h:1", "ws://h:1/api/v1/agent/session"),
        ("https://h/jobs/", "wss://h/jobs/api/v1/agent/session"),
    ],
)
def test_the_address_of_the_session(url, wanted):
    assert Endpoint(url, TOKEN).session_url == wanted


def test_the_place_hides_credentials():
    assert Endpoint("https://me:secret@host:8443/x", TOKEN).place == "host:8443"
    assert Endpoint("https://host/x", TOKEN).place == "host"


def test_a_failure_is_told_once_and_again_when_it_changes(capsys):
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
        (ssl.SSLError(1, "wrong version number"), "is it really https?"),
        (ssl.SSLError(1, "wrong version number (_ssl.c:1006)"), "failed: wrong version number;"),
        (ssl.SSLError(1, "broken record (None)"), "failed: broken record;"),
        (ssl.SSLError(1, "[X509: NO_CERTIFICATE_OR_CRL_FOUND]"), "no certificates in PEM format"),
        (FileNotFoundError(2, "no", "/etc/ca.pem"), "/etc/ca.pem is missing"),
        (InvalidProxy("http://me:hunter2@x y", "no"), "the proxy's URL is not usable"),
        (EOFError(), "EOFError"),
    ],
)
def test_every_failure_has_a_cause_and_a_cure(error, words):
    text = explain(error, Endpoint("http://host:1", TOKEN))
    assert words in text
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
    assert words in text and cure in text


def test_the_environments_proxy_is_taken_unless_one_is_named(monkeypatch):
    url = "https://host:8443"
    assert Endpoint(url, TOKEN).via is None
    monkeypatch.setenv("https_proxy", "me:hunter2@proxy:3128")
    assert Endpoint(url, TOKEN).via == "http://me:hunter2@proxy:3128"
    assert Endpoint("http://host:80", TOKEN).via is None
    monkeypatch.setenv("no_proxy", "other,host")
    assert Endpoint(url, TOKEN).via is None
    assert Endpoint(url, TOKEN, proxy="http://named:1").via == "http://named:1"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "the proxy proxy:3128 refuses connections"),
        (socket.gaierror(-2, "Name or service not known"), "the name proxy cannot be resolved"),
    ],
)
def test_a_failure_before_the_proxy_names_the_proxy(error, words):
    text = explain(error, Endpoint("https://host", TOKEN, proxy="http://me:hunter2@proxy:3128"))
    assert words in text
    assert "hunter2" not in text


@pytest.mark.parametrize("body", [None, b"", b"<html>", b"[1]", b"3"])
def test_an_answer_that_is_no_problem_has_no_code(body):
    assert problem_of(body) == ("", "")


def test_code_and_detail_of_a_problem():
    assert problem_of(b'{"code": "invalid_token", "detail": "revoked"}') == (
        "invalid_token",
        "revoked",
    )
