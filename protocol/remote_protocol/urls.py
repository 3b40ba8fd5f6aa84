"""URLs of servers, proxies and receivers of messages, as people give them. Pure, standard library
only.

A user or a password that a URL holds is never repeated in an error.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit


def server_url(text: str) -> str:
    """A server's URL, without `/api/v1` and without a slash at its end. ValueError says in a
    sentence what is wrong with it."""
    text = text.strip()
    shown = repr(re.sub("[^/]*@", "…@", text))
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ValueError(f"{shown} is not a URL: {error}") from None
    if not parts.scheme or "://" not in text:
        rest = re.sub("^https?[:/]+|^/+", "", shown[1:-1], flags=re.IGNORECASE)
        raise ValueError(f"{shown} has no scheme; did you mean https://{rest} or http://{rest}?")
    if parts.scheme in ("ws", "wss"):
        right = shown[1:-1].replace("ws", "http", 1)
        raise ValueError(f"{shown}: give the server's HTTP address, {right}")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown} has the scheme {parts.scheme!r}; it must be http or https")
    if "@" in parts.netloc:
        raise ValueError("the server's URL holds a user or a password; leave them out")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(f"{shown} contains spaces or control characters")
    if not names_place(parts):
        raise ValueError(f"{shown} does not name a host and a port from 1 to 65535")
    if parts.query or parts.fragment:
        raise ValueError(f"{shown} must be only scheme, host, port and path prefix")
    path = parts.path.rstrip("/")
    if path.endswith(("/api", "/api/v1")):
        raise ValueError(f"{shown} includes the path of the API; leave /api/v1 out")
    return f"{parts.scheme}://{parts.netloc}{path}"


def receiver_url(text: str) -> str:
    """The URL of who receives messages by HTTP: with path and query, without a user. ValueError
    says in a sentence what is wrong with it, without the URL, which may hold a secret."""
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ValueError(f"this is not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("the URL must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("the URL holds a user or a password; leave them out")
    if not text.isascii() or any(c.isspace() or not c.isprintable() or c == "\\" for c in text):
        raise ValueError(
            "the URL has characters that belong in none; write them as %XX, and names of hosts "
            "with other letters in their form xn--"
        )
    if not names_place(parts):
        raise ValueError("the URL does not name a host and a port from 1 to 65535")
    if parts.fragment:
        raise ValueError("the URL has a fragment (#), which is never sent; leave it out")
    return text


def names_place(parts: SplitResult) -> bool:
    """Whether a URL has a host, and a port that can be, if any."""
    try:
        return bool(parts.hostname) and parts.port != 0 and " " not in parts.netloc
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether it is this very host: `localhost`, or an address of 127.0.0.0/8 or ::1."""
    if host.lower().rstrip(".") == "localhost":
        return True
    if not set(host) <= set("0123456789abcdefABCDEF.:"):
        return False
    # Takes a while to load.
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_unencrypted(url: str) -> bool:
    """Whether what goes to this server can be read on the way: plain HTTP beyond this host."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


class Proxy(NamedTuple):
    """A proxy's URL, which may hold a user and a password, and the variable that named it."""

    url: str
    variable: str

    @property
    def usable(self) -> bool:
        """Whether it is `http://` or `https://`, with a host and a port that can be."""
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and names_place(parts)

    @property
    def place(self) -> str:
        """The URL without user and password, for sentences."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"


def choose_proxy(
    url: str, named: Mapping[str, str], bypassed: Callable[[str], object]
) -> Proxy | None:
    """The proxy to the server at `url`; None: there is none, or the server is an exception.

    `named` and `bypassed` are what `urllib.request.getproxies` gives and `proxy_bypass` says.
    """
    parts = urlsplit(url)
    scheme = parts.scheme if named.get(parts.scheme) else "all"
    found = named.get(scheme)
    if not found or bypassed(parts.netloc):
        return None
    return Proxy(found if "://" in found else f"http://{found}", f"{scheme.upper()}_PROXY")


def collector_url(url: str, cure: str) -> str:
    """The URL of a collector of OpenTelemetry, as it is. ValueError, without the value; `cure` says
    what to do with a password that is in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not names_place(parts) or parts.query:
        raise ValueError("this is not the URL of a collector, for example http://127.0.0.1:4318")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            f"the URL of a collector has a password in it, which would stand in logs; {cure}"
        )
    return url


def proxy_authorization(proxy: str) -> str | None:
    """What a proxy whose URL holds a user is told (RFC 7617); None when it holds none."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(login.encode()).decode()}"
