"""Which proxy leads to a server: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

Reads the environment, and the system's settings where it has some. A server on loopback is always
reached directly: no proxy could reach it.
"""

from __future__ import annotations

import os
import sys
from typing import Final
from urllib.parse import urlsplit

from remote_client.errors import UsageError
from remote_protocol.urls import Proxy, choose_proxy, is_loopback

_ASKS_THE_SYSTEM: Final = ("darwin", "win32")
"""Where a proxy may be set besides the environment (`urllib.request.getproxies`)."""


def find_proxy(url: str) -> Proxy | None:
    """The proxy for the server at `url`, None for the direct way. UsageError when unusable."""
    if is_loopback(urlsplit(url).hostname or "") or not _any_is_named():
        return None
    # Takes long to load, with the server side of several protocols.
    from urllib.request import getproxies, proxy_bypass

    proxy = choose_proxy(url, getproxies(), proxy_bypass)
    if proxy is not None and not proxy.usable:
        # Not the value itself: it may hold a password.
        raise UsageError(
            f"{proxy.variable} is not the URL of a proxy that can be used; it looks like "
            "http://[user:password@]host:port"
        )
    return proxy


def _any_is_named() -> bool:
    return sys.platform in _ASKS_THE_SYSTEM or any(
        name.lower().endswith("_proxy") for name in os.environ
    )
