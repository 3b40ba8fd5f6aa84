"""The checks of what answers at a server's URL: whether it is ours, its clock, version. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urljoin, urlsplit

from pydantic import ValidationError

from remote_protocol.api.server import VersionView
from remote_protocol.faults import cause_of, is_kind
from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.reachability.exchange import ProxyAnswered
from remote_protocol.reachability.ports import Answer, Network
from remote_protocol.reachability.target import Target, ask, closed_on_error, reach
from remote_protocol.reachability.way import Stop, proxy_refusal
from remote_protocol.report import Check, Finding, Level
from remote_protocol.units import format_duration

SERVER: Final = Check(
    "server",
    Level.LIVE,
    (
        "client_certificate_wanted",
        "no_http_answer",
        "not_a_remote_server",
        "port_speaks_tls",
        "redirected",
        "server_away",
        "wrong_path",
    ),
)
CLOCK: Final = Check("clock", Level.LIVE, ("clock_differs", "no_date"))
VERSION: Final = Check("version", Level.LIVE, ("version_incompatible",))
API: Final = "v1"
"""The version of the API that both programs know."""
VERSION_PATH: Final = "/api/v1/version"
LARGEST_SKEW: Final = 60.0
"""Seconds between two clocks that harm nothing."""
_AWAY: Final = (502, 503, 504)
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def identify(target: Target, network: Network) -> tuple[Answer, float]:
    """The answer of our server, and when it came."""
    try:
        answer = ask(target, network, VERSION_PATH)
    except (OSError, ValueError) as error:
        raise Stop(_silent(target, network, error)) from None
    if version_of(answer) is None:
        raise Stop(_not_ours(target, network, answer))
    return answer, network.now()


def _silent(target: Target, network: Network, error: Exception) -> Finding:
    said = str(error).lower().replace("_", " ")
    if is_kind(error, "SSLError") and "certificate required" in said:
        return _nameless(target, cause_of(error))
    return _speaks_tls(target, network) or SERVER.failed(
        "no_http_answer",
        f"no HTTP answer from {target.shown}",
        cause_of(error),
        f"check the port in {target.url_setting}, and what stands in between",
    )


def _nameless(target: Target, why: str) -> Finding:
    return SERVER.failed(
        "client_certificate_wanted",
        f"{target.shown} wants a client's certificate",
        why,
        "name it with [server] client_cert and client_key",
    )


def _speaks_tls(target: Target, network: Network) -> Finding | None:
    """The finding when a port that was asked in plain HTTP speaks TLS."""
    if target.secure:
        return None
    try:
        wire = reach(replace(target, tunnels=True), network)
        with closed_on_error(wire):
            spoken = network.speaks_tls(wire)
        wire.close()
    except OSError:
        return None
    if not spoken:
        return None
    right = target.url.replace("http", "https", 1)
    return SERVER.failed(
        "port_speaks_tls",
        f"{target.shown} speaks TLS only",
        "it was asked in plain HTTP",
        f"use {right} in {target.url_setting}",
    )


def _not_ours(target: Target, network: Network, answer: Answer) -> Finding:
    """Why this answer is not that of a remote-server."""
    said = f"GET {target.url}{VERSION_PATH} was answered with HTTP {answer.status}"
    if answer.status == 407 and target.proxy is not None:
        return proxy_refusal(target, ProxyAnswered(407, said))
    if answer.status in _REDIRECTS:
        return _redirected(target, said, answer.headers.get("location", ""))
    if answer.status in _AWAY:
        return SERVER.failed(
            "server_away",
            f"something answers for {target.url}, but the server does not",
            said,
            "start the server; a proxy stands before it",
        )
    if answer.status == 400 and b"required SSL certificate" in answer.body:  # nginx says so
        return _nameless(target, said)
    if answer.status == 400 and (found := _speaks_tls(target, network)):
        return found
    parts = urlsplit(target.url)
    if parts.path:
        root = f"{parts.scheme}://{parts.netloc}"
        try:
            at_root = version_of(ask(replace(target, url=root), network, VERSION_PATH))
        except (OSError, ValueError):
            at_root = None
        if at_root is not None:
            return SERVER.failed(
                "wrong_path",
                f"the server is at {root}, not at {parts.path}",
                said,
                f"leave {parts.path} out of {target.url_setting}",
            )
    return SERVER.failed(
        "not_a_remote_server",
        f"what answers at {target.url} is no remote-server",
        said,
        f"check host, port and path in {target.url_setting}, and that no proxy answers in its "
        "place",
    )


def _redirected(target: Target, said: str, location: str) -> Finding:
    try:
        goal = urljoin(target.url + VERSION_PATH, location)
        # Not the whole goal: a page of a login may carry anything.
        shown = f"{urlsplit(goal).scheme}://{urlsplit(goal).netloc}"
    except ValueError:
        goal = shown = "what is no URL"
    better = goal.removesuffix(VERSION_PATH)
    return SERVER.failed(
        "redirected",
        f"{target.url} redirects to {better if better != goal else shown}",
        said,
        f"use {better} in {target.url_setting}"
        if better != goal
        else "a portal or a login answers in the server's place: have this host let through",
    )


def version_of(answer: Answer) -> VersionView | None:
    """What a remote-server says of itself; None when it is none."""
    try:
        return VersionView.model_validate_json(answer.body) if answer.status == 200 else None
    except ValidationError:
        return None


def clock(answer: Answer, asked_at: float) -> Finding:
    said = parse_date(answer.headers.get("date", ""))
    if said is None:
        return CLOCK.skipped("no_date", "the answer has no date")
    skew = asked_at - said
    if abs(skew) <= LARGEST_SKEW:
        return CLOCK.passed(f"within {LARGEST_SKEW:.0f} s of the server's")
    return CLOCK.failed(
        "clock_differs",
        f"this host's clock is {format_duration(abs(round(skew)))} "
        f"{'ahead of' if skew > 0 else 'behind'} the server's",
        "certificates and tokens seem to be expired, or not valid yet, and times in logs are wrong",
        "set it (timedatectl set-ntp true), here or on the server",
    )


def parse_date(text: str) -> float | None:
    """Unix seconds of a Date header (RFC 9110 §5.6.7); None when it is none."""
    try:
        _, day, month, year, time, zone = text.split()
        hour, minute, second = time.split(":")
        if zone != "GMT":
            return None
        numbers = (int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute))
        return datetime(*numbers, min(int(second), 59), tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def version(target: Target, answer: Answer) -> Finding:
    view = version_of(answer)
    assert view is not None
    if not target.for_agents:
        if view.api == API:
            return VERSION.passed(f"server {view.version}, API {view.api}")
        return VERSION.failed(
            "version_incompatible",
            f"the server's API is {view.api}, this program knows {API}",
            f"the server is version {view.version}",
            "update the older of the two",
        )
    if view.protocol == PROTOCOL_VERSION:
        return VERSION.passed(f"server {view.version}, protocol {view.protocol}")
    older = "server" if view.protocol < PROTOCOL_VERSION else "program on this host"
    return VERSION.failed(
        "version_incompatible",
        f"the server speaks protocol {view.protocol}, this program {PROTOCOL_VERSION}",
        f"the server is version {view.version}",
        f"update the {older}",
    )
