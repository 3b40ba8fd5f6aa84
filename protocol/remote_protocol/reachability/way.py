"""The checks of the way to a server: its name, the proxy, the connection, TLS. Pure.

No user or password of a proxy is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from remote_protocol.faults import cause_of, is_kind
from remote_protocol.reachability.exchange import ProxyAnswered
from remote_protocol.reachability.ports import Network
from remote_protocol.reachability.target import Target, closed_on_error, reach
from remote_protocol.report import Check, Finding, Level
from remote_protocol.units import format_duration

NAME: Final = Check("name", Level.LIVE, ("name_unknown",))
PROXY: Final = Check(
    "proxy",
    Level.LIVE,
    (
        "proxy_cannot_reach_server",
        "proxy_needs_password",
        "proxy_not_tried",
        "proxy_refuses",
        "proxy_speaks_no_http",
        "proxy_unreachable",
        "proxy_unusable",
        "proxy_wrong_password",
    ),
)
CONNECTION: Final = Check(
    "connection",
    Level.LIVE,
    ("connection_failed", "connection_refused", "connection_timed_out"),
)
TLS: Final = Check(
    "tls",
    Level.LIVE,
    (
        "ca_file_unusable",
        "certificate_expired",
        "certificate_expires_soon",
        "certificate_not_yet_valid",
        "certificate_of_another_name",
        "certificate_untrusted",
        "not_encrypted",
        "port_speaks_no_tls",
        "tls_failed",
    ),
)
SOON: Final = 14 * 86400.0
"""Seconds before its end from which on a certificate is a fault."""
_BY_VERIFY_CODE: Final = {
    # The numbers of X509_V_ERR_* (X509_STORE_CTX_get_error(3ssl)).
    9: ("certificate_not_yet_valid", "set this host's clock, or wait until it is valid"),
    10: ("certificate_expired", "renew it on the server, or set this host's clock"),
    62: ("certificate_of_another_name", "use the host name that it was made for"),
    64: ("certificate_of_another_name", "use the host name that it was made for"),
}


class Stop(Exception):
    """A check has failed; those after it make no sense."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


def name(target: Target, network: Network) -> Finding:
    if target.proxy is not None and not target.proxy.startswith("http://"):
        raise Stop(_unusable(target))
    host, port = target.address if target.proxy is None else target.proxy_address
    whose = "" if target.proxy is None else " (of the proxy, which looks up the server's itself)"
    try:
        addresses = network.resolve(host, port)
    except (OSError, UnicodeError) as error:
        setting = target.url_setting if target.proxy is None else target.proxy_setting
        raise Stop(
            NAME.failed(
                "name_unknown",
                f"the name {host}{whose} cannot be resolved",
                cause_of(error),
                f"check its spelling in {setting}, and this host's DNS (/etc/resolv.conf)",
            )
        ) from None
    return NAME.passed(f"{host}{whose} is {', '.join(addresses[:4])}")


def _unusable(target: Target) -> Finding:
    # Not the value itself: it may hold a password.
    return PROXY.failed(
        "proxy_unusable",
        f"what {target.proxy_origin} names is no http:// proxy",
        "proxies of other kinds are not supported",
        f"write http://[user:password@]host:port in {target.proxy_setting}, or name "
        f"{target.address[0]} in NO_PROXY",
    )


def connection(target: Target, network: Network) -> Iterator[Finding]:
    """The findings about proxy and connection."""
    try:
        wire = reach(target, network)
    except ProxyAnswered as error:
        raise Stop(proxy_refusal(target, error)) from None
    except OSError as error:
        if target.proxy is not None:
            raise Stop(_proxy_away(target, error)) from None
        yield _directly(target)
        raise Stop(_unconnected(target, error)) from None
    wire.close()
    if target.proxy is None:
        yield _directly(target)
        yield CONNECTION.passed(f"{target.shown} takes connections")
        return
    yield PROXY.passed(f"through {target.proxy_place}, named by {target.proxy_origin}")
    yield CONNECTION.passed(
        f"the proxy has connected to {target.shown}"
        if target.tunnelled
        else "the proxy is asked to fetch; whether it can is seen below"
    )


def _directly(target: Target) -> Finding:
    return PROXY.passed(f"none: {target.proxy_origin or 'no proxy is named'}")


def _unconnected(target: Target, error: OSError) -> Finding:
    place, cause = target.shown, cause_of(error)
    if is_kind(error, "ConnectionRefusedError"):
        return CONNECTION.failed(
            "connection_refused",
            f"nothing listens at {place}",
            cause,
            f"check that the server runs, and host and port in {target.url_setting}",
        )
    if is_kind(error, "TimeoutError"):
        return CONNECTION.failed(
            "connection_timed_out",
            f"{place} does not answer",
            "a firewall drops what goes there, or only a proxy leads there",
            f"allow outbound TCP to {place}, or name the proxy: {target.proxy_setting}",
        )
    return CONNECTION.failed(
        "connection_failed",
        f"{place} cannot be connected to",
        cause,
        "check routes, firewalls and the address family (IPv6)",
    )


def _proxy_away(target: Target, error: OSError) -> Finding:
    return PROXY.failed(
        "proxy_unreachable",
        f"the proxy {target.proxy_place}, named by {target.proxy_origin}, cannot be connected to",
        cause_of(error),
        f"check {target.proxy_setting}; to go without it, name {target.address[0]} in NO_PROXY",
    )


def proxy_refusal(target: Target, error: ProxyAnswered) -> Finding:
    assert target.proxy is not None
    proxy, place = target.proxy_place, target.shown
    named = f"the proxy {proxy}, named by {target.proxy_origin},"
    if error.status == 407:
        if "@" in target.proxy:
            return PROXY.failed(
                "proxy_wrong_password",
                f"{named} refuses the user or the password (HTTP 407)",
                str(error),
                f"correct them in {target.proxy_setting}; special characters are "
                "percent-encoded, @ is %40",
            )
        return PROXY.failed(
            "proxy_needs_password",
            f"{named} wants a user and a password (HTTP 407)",
            str(error),
            f"put user:password@ before its host, in {target.proxy_setting}",
        )
    if error.status == 0:
        return PROXY.failed(
            "proxy_speaks_no_http",
            f"{named} is no HTTP proxy",
            str(error),
            f"check host, port and kind in {target.proxy_setting}",
        )
    if error.status >= 500:
        return PROXY.failed(
            "proxy_cannot_reach_server",
            f"{named} cannot connect to {place} (HTTP {error.status})",
            str(error),
            f"check host and port in {target.url_setting}, and that the proxy may go there; to go "
            f"without it, name {target.address[0]} in NO_PROXY",
        )
    return PROXY.failed(
        "proxy_refuses",
        f"{named} refuses a tunnel to {place} (HTTP {error.status})",
        str(error),
        f"ask those who run it to allow CONNECT to {place}; to go without it, name "
        f"{target.address[0]} in NO_PROXY",
    )


def tls(target: Target, network: Network) -> Finding:
    if not target.secure:
        return TLS.skipped("not_encrypted", f"{target.url} is plain HTTP")
    host = target.address[0]
    try:
        wire = reach(target, network)
        with closed_on_error(wire):
            wire, ends = network.secure(wire, host)
        wire.close()
    except (OSError, ValueError) as error:
        raise Stop(_tls_fault(target, error)) from None
    left = ends - network.now()
    if left < SOON:
        return TLS.failed(
            "certificate_expires_soon",
            f"the certificate of {target.shown} ends in {format_duration(max(left // 60 * 60, 0))}",
            "from then on no agent and no client can connect",
            "renew it on the server",
        )
    return TLS.passed(f"the certificate of {host} is trusted, for {left // 86400:.0f} more days")


def _tls_fault(target: Target, error: Exception) -> Finding:
    place, cause = target.shown, cause_of(error)
    if is_kind(error, "SSLCertVerificationError"):
        number = getattr(error, "verify_code", 0)
        code, cure = _BY_VERIFY_CODE.get(
            number,
            (
                "certificate_untrusted",
                f"if a private CA signed it, name that with {target.ca_setting}; if a proxy "
                "opens TLS on the way, name the CA of that one",
            ),
        )
        return TLS.failed(code, f"the certificate of {place} is not trusted", cause, cure)
    text = str(error).lower().replace("_", " ")
    if is_kind(error, "SSLError"):
        if "wrong version number" in text or "record layer" in text:
            return TLS.failed(
                "port_speaks_no_tls",
                f"{place} speaks no TLS",
                cause,
                f"check the port in {target.url_setting}, or use http:// where everybody on the "
                "way is trusted",
            )
        if "no certificate" in text or "pem lib" in text:
            return _ca_file_fault(target, cause)
    if is_kind(error, "FileNotFoundError") or is_kind(error, "PermissionError"):
        return _ca_file_fault(target, cause)
    return TLS.failed(
        "tls_failed",
        f"no TLS with {place}",
        cause,
        "check what stands in between (a middlebox may cut TLS that it cannot read), and that "
        "both sides speak TLS 1.2 or newer",
    )


def _ca_file_fault(target: Target, cause: str) -> Finding:
    return TLS.failed(
        "ca_file_unusable",
        "the file of trusted certificates, or that of the client's own, cannot be used",
        cause,
        f"check {target.ca_setting}: it holds certificates in PEM format",
    )
