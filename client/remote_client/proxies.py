"""Which proxy leads to a server: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

Reads the environment, and the system's settings where it has some. A server on loopback is always
reached directly: no proxy could reach it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from remote_client.errors import UsageError

_ASKS_THE_SYSTEM: Final = ("darwin", "win32")
"""Where a proxy may be set besides the environment (`urllib.request.getproxies`)."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's URL, which may hold a password, and the variable that named it."""

    url: str
    variable: str

    @property
    def place(self) -> str:
        """The URL without user and password, for sentences."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def refusal(self, cause: str) -> str:
        """What to say when it answers itself, instead of leading to the server."""
        if "407" not in cause:
            return (
                f"The proxy {self.place} does not let us through: {cause}; ask those who run it, "
                "or name the server in NO_PROXY to go around it."
            )
        if "@" in self.url:
            return (
                f"The proxy {self.place} refuses the user name or the password (407); correct them "
                f"in {self.variable}, with special characters percent-encoded (@ is %40)."
            )
        return (
            f"The proxy {self.place} wants a user name and a password (407); write them into "
            f"{self.variable}, as in http://user:password@{urlsplit(self.url).netloc}."
        )


def find_proxy(url: str) -> Proxy | None:
    """The proxy for the server at `url`, None for the direct way. UsageError when unusable."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if loopback(host) or not _any_is_named():
        return None
    # Takes long to load, with the server side of several protocols.
    from urllib.request import getproxies, proxy_bypass

    named = getproxies()
    scheme = parts.scheme if named.get(parts.scheme) else "all"
    if not named.get(scheme) or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return None
    found = named[scheme]
    proxy = Proxy(found if "://" in found else f"http://{found}", f"{scheme.upper()}_PROXY")
    _check(proxy)
    return proxy


def loopback(host: str) -> bool:
    """Whether it is this very host: `localhost`, or an address of 127.0.0.0/8 or ::1."""
    if host.lower().rstrip(".") == "localhost":
        return True
    if not set(host) <= set("0123456789abcdefABCDEF.:"):
        return False
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _any_is_named() -> bool:
    return sys.platform in _ASKS_THE_SYSTEM or any(
        name.lower().endswith("_proxy") for name in os.environ
    )


def _check(proxy: Proxy) -> None:
    try:
        parts = urlsplit(proxy.url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # Not the value itself: it may hold a password.
        raise UsageError(
            f"{proxy.variable} is not the URL of a proxy that can be used; it looks like "
            "http://[user:password@]host:port"
        )
