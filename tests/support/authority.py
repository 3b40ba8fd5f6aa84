"""A private CA for the tests, with the stacks that it certifies."""

from __future__ import annotations

from pathlib import Path

import trustme

from tests.support.stack import Stack


class Authority:
    """A CA that puts `cert.pem` and `key.pem` into a directory, and its own certificate beside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "ca.pem"
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(self.file)

    def certify(self, *names: str) -> None:
        """A new certificate for these names."""
        certificate = self._ca.issue_cert(*names)
        certificate.private_key_pem.write_to_path(self.root / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(self.root / "cert.pem")

    def stack(self) -> Stack:
        """A server that has the certificate, and clients that trust this CA."""
        cert, key = str(self.root / "cert.pem"), str(self.root / "key.pem")
        stack = Stack(self.root, TLS_CERT=cert, TLS_KEY=key)
        stack.ca_file = self.file
        return stack
