"""Makes the provider of the configuration. Reads the file of the client's secret."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from remote_server.config import ConfigError
from remote_server.oidc_settings import OidcPart

if TYPE_CHECKING:
    from remote_server.oidc.provider import Provider

_LARGEST: Final = 4096


def open_provider(settings: OidcPart) -> Provider | None:
    """The provider; None where none is configured. ConfigError."""
    if settings.issuer is None:
        return None
    try:
        from remote_server.oidc.provider import Provider
    except ImportError as error:
        raise ConfigError(
            [
                f"[oidc] issuer: signing in by a provider needs {error.name}, which is not "
                'installed; install it with: pip install "remote-server[oidc]"'
            ]
        ) from None
    return Provider(settings, client_secret(settings))


def client_secret(settings: OidcPart) -> str | None:
    """The client's secret; None for a public client. ConfigError, without what the file holds."""
    if settings.client_secret is not None:
        return settings.client_secret.get_secret_value() or None
    file = settings.client_secret_file
    return None if file is None else _read(file)


def _read(file: Path) -> str:
    def unusable(why: str) -> ConfigError:
        return ConfigError([f"[oidc] client_secret_file: {file} {why}"])

    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            raw = opened.read(_LARGEST + 1)
    except OSError as error:
        raise unusable(f"cannot be read: {error.strerror}; check its path and owner") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise unusable(f"can be read by others on this host; take that away: chmod 600 {file}")
    text = raw.decode("utf-8", "replace").strip()
    if not text or len(raw) > _LARGEST or not text.isprintable():
        raise unusable("holds no secret; put the client's secret into it, on one line")
    return text
