"""Sentences about a server that cannot be reached, and how often they are said."""

from __future__ import annotations

import socket
import ssl

import pytest
from websockets.exceptions import InvalidProxy

from remote_agent.reach import Complaint, Endpoint, explain, problem_of
from tests.support.fake_server import TOKEN


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
    complaint = Complaint()
    for _ in range(5):
        complaint.failed("nothing listens at here:1")
    complaint.failed("here:1 did not answer")
    complaint.over("here:1")
    complaint.over("here:1")
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
        (FileNotFoundError(2, "no", "/etc/ca.pem"), "/etc/ca.pem is missing"),
        (InvalidProxy("http://me:hunter2@x y", "no"), "the proxy's URL is not usable"),
        (EOFError(), "EOFError"),
    ],
)
def test_every_failure_has_a_cause_and_a_cure(error, words):
    text = explain(error, Endpoint("http://host:1", TOKEN))
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
