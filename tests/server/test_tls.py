"""Certificate and key: what cannot be used, what others can read, and what is loaded again."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from pathlib import Path

import pytest
import structlog
import trustme

from remote_server.tls import Certificate, TlsError


def issue(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for `name` and its key, by a CA whose certificate lies beside."""
    folder.mkdir(exist_ok=True)
    ca = trustme.CA()
    made = ca.issue_cert(name)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    return folder / "cert.pem", folder / "key.pem"


def shows(certificate: Certificate, ca: Path, name: str) -> bool:
    """Whether a client that trusts only `ca` accepts the server as `name`."""
    here, there = socket.socketpair()
    ends = []

    def serve() -> None:
        try:
            with certificate.context.wrap_socket(here, server_side=True) as link:
                ends.append(link.recv(1))
        except OSError:
            pass

    server = threading.Thread(target=serve)
    server.start()
    try:
        trust = ssl.create_default_context(cafile=ca)
        with trust.wrap_socket(there, server_hostname=name) as link:
            link.send(b"x")
        return True
    except ssl.SSLCertVerificationError:
        return False
    finally:
        there.close()
        server.join(20)
        here.close()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_key_that_others_can_use_is_told(tmp_path: Path, mode: int) -> None:
    cert, key = issue(tmp_path, "localhost")
    key.chmod(mode)
    with structlog.testing.capture_logs() as said:
        Certificate(cert, key)
    (line,) = said
    assert line["log_level"] == "warning" and f"chmod 600 {key}" in line["event"]


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_a_key_of_its_owner_or_a_group_of_readers_is_not(tmp_path: Path, mode: int) -> None:
    cert, key = issue(tmp_path, "localhost")
    key.chmod(mode)
    with structlog.testing.capture_logs() as said:
        Certificate(cert, key)
    assert said == []


def test_a_renewed_certificate_is_shown_to_new_connections(tmp_path: Path) -> None:
    cert, key = issue(tmp_path / "used", "one.example")
    old_ca = Path(shutil.copy(tmp_path / "used" / "ca.pem", tmp_path / "old.pem"))
    certificate = Certificate(cert, key)
    assert shows(certificate, old_ca, "one.example")
    issue(tmp_path / "used", "two.example")
    assert shows(certificate, old_ca, "one.example"), "nothing changes before it is asked"
    certificate.reload()
    assert shows(certificate, tmp_path / "used" / "ca.pem", "two.example")
    assert not shows(certificate, old_ca, "one.example")


def test_what_cannot_be_used_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    cert, key = issue(tmp_path / "used", "one.example")
    certificate = Certificate(cert, key)
    other, _ = issue(tmp_path / "other", "two.example")
    right = cert.read_bytes()
    for wrong, cause in (
        (other.read_bytes(), "does not belong"),
        (b"no pem", "not PEM files"),
        (None, "cannot be read"),
    ):
        cert.unlink() if wrong is None else cert.write_bytes(wrong)
        with pytest.raises(TlsError, match=cause):
            certificate.reload()
        assert shows(certificate, tmp_path / "used" / "ca.pem", "one.example")
    cert.write_bytes(right)
    certificate.reload()


def test_a_pass_phrase_is_asked_of_nobody(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    cert, key = issue(tmp_path, "localhost")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match="pass phrase"):
        Certificate(cert, key)
