"""Where the server is and who we are: flags, then environment, then the file of `remotectl login`.

Touches one file, `<user config dir>/remotectl/login.json`, readable by its owner only.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from remote_client.errors import UsageError

_API_TOKEN: Final = "rpt_"
"""`ids.TokenKind.API`, without the time that its module takes to load."""


@dataclass(frozen=True, slots=True)
class Access:
    """A server's base URL (without `/api/v1`) and an API token."""

    url: str
    token: str
    ca_file: str | None = None


def login_file() -> Path:
    """The file that `remotectl login` writes."""
    if sys.platform in ("darwin", "win32"):
        import platformdirs

        return Path(platformdirs.user_config_dir("remotectl")) / "login.json"
    # What platformdirs says here (XDG Base Directory Specification), without loading it.
    base = os.environ.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config")
    return Path(base) / "remotectl" / "login.json"


def find_access(url: str | None, token: str | None, ca_file: str | None) -> Access:
    """What flags and environment gave, completed by the login file. UsageError when incomplete."""
    stored = _read_login()
    url = url or stored.get("url")
    if not url:
        raise UsageError(
            "No server is named. Set REMOTE_URL (for example http://127.0.0.1:8750), give --url, "
            "or run: remotectl login --url URL"
        )
    url = check_url(url)
    if url == stored.get("url", url):
        token, ca_file = token or stored.get("token"), ca_file or stored.get("ca_file")
    if not token:
        raise UsageError(
            "No token is given. Set REMOTE_TOKEN to an API token (rpt_…), give --token-file, or "
            "run: remotectl login. The first admin token is in the file `admin-token` of the "
            "server's data directory."
        )
    return Access(url, check_token(token), ca_file)


def check_url(url: str) -> str:
    """The URL without a trailing slash. UsageError names exactly what is wrong with it (R43)."""
    try:
        parts = urlsplit(url.strip())
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    if not parts.scheme or "://" not in url:
        raise UsageError(f"{url!r} has no scheme; did you mean http://{url.strip()} or https://…?")
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"{url!r} has the scheme {parts.scheme!r}; it must be http or https")
    if not parts.hostname:
        raise UsageError(f"{url!r} names no host")
    if any(character.isspace() or not character.isprintable() for character in url.strip()):
        raise UsageError(f"{url!r} contains spaces or control characters")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise UsageError(f"{url!r} has a port that is not a number from 1 to 65535")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"{url!r} must be only scheme, host, port and path prefix")
    path = parts.path.rstrip("/")
    if path.endswith("/api/v1"):
        raise UsageError(f"{url!r} includes the path of the API; leave /api/v1 out")
    return f"{parts.scheme}://{parts.netloc}{path}"


def check_token(token: str) -> str:
    """The token. UsageError when it cannot be one, or is one of another kind."""
    token = token.strip()
    if token.startswith(_API_TOKEN):
        return token
    from remote_protocol.ids import TokenKind, kind_of

    kind = kind_of(token)
    if kind is not None:
        raise UsageError(
            f"This is a {kind.words} ({kind.value}…); remotectl needs an {TokenKind.API.words} "
            f"({TokenKind.API.value}…)"
        )
    if not token or any(not 33 <= ord(character) <= 126 for character in token):
        raise UsageError("The token is empty or contains spaces or line ends")
    return token


def save_login(access: Access) -> Path:
    """Keep access for later calls (0600); returns the file."""
    path = login_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = {"url": access.url, "token": access.token, "ca_file": access.ca_file}
    temporary = path.with_suffix(".tmp")
    # A file that somebody left here would keep its own mode.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    temporary.replace(path)
    return path


def forget_login() -> bool:
    """Remove the file; False when there was none."""
    try:
        login_file().unlink()
    except FileNotFoundError:
        return False
    return True


def _read_login() -> dict[str, str]:
    try:
        document = json.loads(login_file().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{login_file()} cannot be read ({error}); run remotectl login again"
        ) from None
    if not isinstance(document, dict):
        raise UsageError(f"{login_file()} holds no login; run remotectl login again")
    return {key: value for key, value in document.items() if isinstance(value, str)}
