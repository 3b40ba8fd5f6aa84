"""What went wrong on the way to a server: cause and cure, without any secret. Pure.

Errors are told by the names of their classes, so that OpenSSL has not to be loaded for it.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from remote_protocol.urls import Proxy


class Fault(NamedTuple):
    """Two parts of a sentence, to be put together with a semicolon."""

    cause: str
    cure: str


class Route(NamedTuple):
    """How a program goes to its server. `proxy.variable` and `ca_option` say where its user can
    set them; `timeout` is how long a connection may take, in seconds."""

    url: str
    proxy: Proxy | None
    ca_option: str
    timeout: float

    @property
    def place(self) -> str:
        """Host and port of the server, without credentials."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def explain(error: BaseException, route: Route) -> Fault:
    """Why no connection came about."""
    said, place, proxy = cause_of(error), route.place, route.proxy
    if is_kind(error, "gaierror"):
        host = urlsplit(proxy.url if proxy else route.url).hostname
        return Fault(f"the name {host} cannot be resolved ({said})", "check it, and DNS")
    if is_kind(error, "SSLCertVerificationError"):
        cause = f"the certificate of {place} is not trusted: {said}"
        return Fault(cause, _certificate_cure(said, route.ca_option))
    if is_kind(error, "SSLError"):
        plain = "the port speaks no TLS: use http://"
        cure = plain if _speaks_no_tls(error) else "check the certificates, and what is in between"
        return Fault(f"TLS with {place} failed: {said}", cure)
    if is_kind(error, "ConnectionRefusedError"):
        if proxy is not None:
            cure = f"check {proxy.variable}, or name the server's host in NO_PROXY"
            return Fault(f"the proxy {proxy.place} refuses connections", cure)
        cure = "check that the server runs and that host and port are right"
        return Fault(f"nothing listens at {place}", cure)
    if is_kind(error, "TimeoutError"):
        cure = "check routes and firewalls, and whether only a proxy leads there"
        return Fault(f"{place} did not answer within {route.timeout:.0f} s", cure)
    cause = f"connecting to {place} failed ({said})"
    if proxy is not None:
        return Fault(cause, f"check {proxy.variable}, or name the server's host in NO_PROXY")
    return Fault(cause, "check the URL, the network and any proxy in between")


def unanswered(said: str, route: Route, closed: bool) -> Fault:
    """Why there is a connection, but no HTTP answer; `closed` tells an end from mere silence."""
    cure = "check host and port, and any proxy in between"
    if closed and route.url.startswith("http:"):
        cure = "if the port speaks TLS, use https://"
    return Fault(f"no HTTP answer from {route.place} ({said})", cure)


def proxy_refusal(route: Route, status: int, said: str) -> Fault:
    """Why a proxy answers itself, with this HTTP status, instead of leading to the server."""
    proxy = route.proxy
    name = f"the proxy {proxy.place}" if proxy else "a proxy"
    setting = proxy.variable if proxy else "HTTPS_PROXY or HTTP_PROXY"
    if status != 407:
        cause = f"{name} did not connect to {route.place} ({said})"
        return Fault(cause, "check that it may reach it, or name the server's host in NO_PROXY")
    if proxy is not None and "@" in proxy.url:
        cause = f"{name} refuses the user name or the password (HTTP 407)"
        return Fault(cause, f"correct them in {setting}, special characters as %40 for @")
    cause = f"{name} wants a user name and a password (HTTP 407)"
    # Not as a whole URL: a log would take the word for a password, and mask it.
    return Fault(cause, f"put user:password@ into its URL ({setting})")


def is_kind(error: BaseException | None, name: str) -> bool:
    """Whether an error is of a class of this name, or of one below it."""
    return error is not None and any(kind.__name__ == name for kind in type(error).__mro__)


def cause_of(error: BaseException) -> str:
    """What the system or OpenSSL says of it, without the number of an error, and without the line
    of its own source that OpenSSL names at the end."""
    names = ("verify_message", "reason", "strerror")
    said = next((text for name in names if (text := getattr(error, name, None))), None)
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(said or error))
    return re.sub(r" *\((_ssl\.c:\d+|None)\)", "", text).rstrip(".") or type(error).__name__


def _certificate_cure(said: str, option: str) -> str:
    words = said.lower()
    if "expired" in words or "not yet valid" in words:
        return "renew it, or set this host's clock"
    if "mismatch" in words or "not valid for" in words:
        return "use the host name that it was made for"
    return f"if a private CA signed it, name that with {option}"


def _speaks_no_tls(error: BaseException) -> bool:
    text = str(error).lower().replace("_", " ")
    return "wrong version number" in text or "record layer" in text
