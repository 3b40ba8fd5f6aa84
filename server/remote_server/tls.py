"""The server's certificate and key: loaded, loaded again while it runs, and looked after.

Reads the two files, nothing else.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

from remote_server.errors import ServerError

_log = structlog.get_logger("remote_server.tls")


class TlsError(ServerError):
    """Certificate or key cannot be used."""

    exit_code = 2


class Certificate:
    """What new connections are shown. TlsError when the files cannot be used."""

    def __init__(self, cert: Path, key: Path) -> None:
        self.cert = cert
        self.key = key
        self.context = _context(cert, key)

    def reload(self) -> None:
        """Show new connections what the files hold now. TlsError, with everything as it was."""
        # Tried apart: a context that took the certificate but not the key would fail everybody.
        _context(self.cert, self.key)
        self.context.load_cert_chain(self.cert, self.key)


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for path, what in ((cert, "certificate"), (key, "key")):
        try:
            path.open("rb").close()
        except OSError as error:
            raise TlsError(
                f"the TLS {what} {path} cannot be read: {error.strerror}; "
                "check --tls-cert and --tls-key"
            ) from error
    try:
        # Asked for a pass phrase, OpenSSL would stop the server and read one from the terminal.
        context.load_cert_chain(cert, key, password=_none)
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(f"TLS cannot be set up from {cert} and {key}: {_why(error)}") from error
    if key.stat().st_mode & 0o027:
        _log.warning(
            "others on this host can read the TLS key or change it; take that right away: "
            f"chmod 600 {key}"
        )
    return context


def _none() -> str:
    raise ValueError("the key is protected by a pass phrase; give one without")


def _why(error: Exception) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error)
    if "KEY_VALUES_MISMATCH" in str(error):
        return "the key does not belong to the certificate"
    return f"they are not PEM files of a certificate and its key ({error.reason or error})"
