"""Faults of the network in words."""

from __future__ import annotations

import socket
import ssl

import pytest

from remote_protocol.faults import cause_of, certificate_cure, is_kind, speaks_no_tls


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


def test_what_a_certificate_lacks_is_the_cause() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    assert cause_of(error) == "certificate has expired"


@pytest.mark.parametrize(
    ("cause", "cure"),
    [
        ("certificate has expired", "renew it"),
        (
            "Hostname mismatch, certificate is not valid for 'x'.",
            "the host name that it was made for",
        ),
        ("unable to get local issuer certificate", "name that with --ca-file"),
    ],
)
def test_each_certificate_has_its_cure(cause: str, cure: str) -> None:
    assert cure in certificate_cure(cause, "--ca-file")


def test_a_port_without_tls_is_told() -> None:
    assert speaks_no_tls(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))
    assert speaks_no_tls(ssl.SSLError(1, "record layer failure"))
    assert not speaks_no_tls(ssl.SSLError(1, "certificate verify failed"))
