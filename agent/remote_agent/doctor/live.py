"""The live checks of an agent that has a way to its server: token, mode, queues, WebSocket.

Asks the server by a token; changes nothing there, and spends no use of a registration token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
)

from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.faults import problem_of
from remote_agent.connection.websocket import open_websocket
from remote_protocol.api.registration import RegistrationView
from remote_protocol.errors import ErrorCode
from remote_protocol.faults import cause_of
from remote_protocol.reachability.ports import Answer
from remote_protocol.report import Check, Finding, Level
from remote_protocol.units import format_duration

TOKEN: Final = Check(
    "token",
    Level.LIVE,
    (
        "no_token",
        "token_expired",
        "token_of_wrong_kind",
        "token_refused",
        "token_unknown",
        "token_used_up",
    ),
)
MODE: Final = Check("mode", Level.LIVE, ("server_drains", "server_pauses"))
QUEUES: Final = Check("queues", Level.LIVE, ("queue_missing", "queue_not_given", "queue_paused"))
WEBSOCKET: Final = Check(
    "websocket",
    Level.LIVE,
    ("upgrade_blocked", "websocket_cut", "websocket_refused", "websocket_silent"),
)
IDLE: Final = Check("idle", Level.LIVE, ("idle_cut", "idle_dead", "idle_not_asked"))
CHECKS: Final = (TOKEN, MODE, QUEUES, WEBSOCKET, IDLE)
REGISTRATION_PATH: Final = "/api/v1/agent/registration"
ECHO_TIME: Final = 10.0
"""Seconds for a short text to come back."""
_NEW: Final = "remotectl registration-token create, then remote-agent register --token-file FILE"
_CODES: Final = {
    ErrorCode.EXPIRED_TOKEN: "token_expired",
    ErrorCode.INVALID_TOKEN: "token_unknown",
    ErrorCode.WRONG_TOKEN_KIND: "token_of_wrong_kind",
}
_BETWEEN: Final = (
    "have what stands between let WebSockets through: nginx needs proxy_http_version 1.1 and the "
    "headers Upgrade and Connection, other proxies have a switch for it"
)


class Bearer(NamedTuple):
    """Whose token it is: the server's answer, and what this host asks for."""

    view: RegistrationView
    wanted: Collection[str]
    """Queues that configuration or registration name."""


def token(answer: Answer) -> tuple[Finding, RegistrationView | None]:
    """What the server says of the token, by its answer to a GET of REGISTRATION_PATH."""
    if answer.status != 200:
        code, detail = problem_of(answer.body)
        known = next((ours for theirs, ours in _CODES.items() if theirs == code), "token_refused")
        why = detail or f"HTTP {answer.status}"
        cure = "try again, and see the server's log" if known == "token_refused" else _NEW
        return TOKEN.failed(known, "the server refuses the token", why, cure), None
    try:
        view = RegistrationView.model_validate_json(answer.body)
    except ValidationError:
        return (
            TOKEN.failed(
                "token_refused",
                "the server's answer about the token is none that this version knows",
                "it may be of a newer version, or a proxy answers in its place",
                "update the older of the two",
            ),
            None,
        )
    if view.uses_left == 0:
        return (
            TOKEN.failed(
                "token_used_up",
                "the registration token has been used as often as it may be",
                "no further agent can register with it",
                _NEW,
            ),
            None,
        )
    whose = f"of the agent {view.name}" if view.name else "to register with"
    left = "" if view.uses_left is None else f", {view.uses_left} uses left"
    until = "" if view.expires_at is None else f", until {view.expires_at:%Y-%m-%d %H:%M} UTC"
    return TOKEN.passed(f"good: {view.kind} token {whose}{left}{until}"), view


def unanswered(error: OSError) -> Finding:
    """The server, which had just answered, did not say anything about the token."""
    return TOKEN.failed("token_refused", "no answer about the token", cause_of(error), "try again")


def mode(view: RegistrationView) -> Finding:
    """Whether the server wants the agent to take jobs."""
    cure = f"remotectl agent resume {view.name}"
    if view.draining:
        return MODE.failed(
            "server_drains", "the server drains this agent", view.pause_comment, cure
        )
    if view.paused:
        return MODE.failed(
            "server_pauses", "the server pauses this agent", view.pause_comment, cure
        )
    return MODE.passed("the server gives it jobs")


def queues(bearer: Bearer) -> Finding:
    """Whether the queues that this host is to serve exist, are its own, and run."""
    view = bearer.view
    names = [queue.name for queue in view.queues]
    missing = [queue.name for queue in view.queues if not queue.exists]
    if missing:
        return QUEUES.failed(
            "queue_missing",
            f"the server has no queue {', '.join(missing)}",
            "it was deleted, or never made",
            f"remotectl queue create {missing[0]}, or name other queues",
        )
    strange = [] if view.any_queue else [name for name in bearer.wanted if name not in names]
    if strange:
        return QUEUES.failed(
            "queue_not_given",
            f"this host asks for the queue {', '.join(strange)}, and does not get it",
            f"its queues on the server are: {', '.join(names) or 'none'}",
            "check the spelling (remotectl queue list), or register again with a token that "
            "covers it",
        )
    paused = [queue.name for queue in view.queues if queue.paused]
    if paused:
        return QUEUES.failed(
            "queue_paused",
            f"paused: {', '.join(paused)}",
            "jobs wait in it until it is resumed",
            f"remotectl queue resume {paused[0]}",
        )
    return QUEUES.passed(f"serves {', '.join(names)}")


def websocket(endpoint: Endpoint, idle: float | None) -> list[Finding]:
    """Whether a WebSocket comes about, carries texts both ways, and outlives `idle` seconds of
    silence; None: that is not tried."""
    return asyncio.run(_websocket(endpoint, idle))


async def _websocket(endpoint: Endpoint, idle: float | None) -> list[Finding]:
    try:
        wire = await open_websocket(endpoint, endpoint.probe_url)
    except (InvalidHandshake, OSError, EOFError) as error:
        return [_unopened(endpoint, error), IDLE.needs(WEBSOCKET.name)]
    try:
        fault = await _echoed(wire)
        if fault is not None:
            return [WEBSOCKET.failed(*fault, _BETWEEN), IDLE.needs(WEBSOCKET.name)]
        found = WEBSOCKET.passed("opens, and carries texts both ways")
        return [found, await _silence(wire, idle)]
    finally:
        await wire.close()


def _unopened(endpoint: Endpoint, error: Exception) -> Finding:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        code, detail = problem_of(error.response.body)
        if code and code != ErrorCode.BAD_REQUEST:
            return WEBSOCKET.failed(
                "websocket_refused",
                "the server refuses a probe",
                detail or code,
                "try again when it has room",
            )
        why = detail or f"HTTP {status} instead of 101 Switching Protocols"
    else:
        why = cause_of(error)
    return WEBSOCKET.failed(
        "upgrade_blocked",
        f"no WebSocket to {endpoint.place} comes about, though plain requests are answered",
        why,
        _BETWEEN,
    )


async def _echoed(wire: ClientConnection) -> tuple[str, str, str] | None:
    """Code, finding and why, when a text does not come back."""
    try:
        async with asyncio.timeout(ECHO_TIME):
            for text in ("doctor", ""):
                await wire.send(text)
                if await wire.recv() != text:
                    return "websocket_cut", "the WebSocket changes what it carries", ""
    except TimeoutError:
        return (
            "websocket_silent",
            "the WebSocket opens, but nothing comes back on it",
            f"a short text did not come back within {ECHO_TIME:.0f} s: something in between keeps "
            "what passes",
        )
    except ConnectionClosed as error:
        why = str(error.rcvd or "without a word")
        return "websocket_cut", "the WebSocket was closed at once", why
    return None


async def _silence(
    wire: ClientConnection, idle: float | None, clock: Callable[[], float] = time.monotonic
) -> Finding:
    if idle is None:
        return IDLE.skipped("idle_not_asked", "ask for it: --idle 90s tries so long a silence")
    begun, wanted = clock(), format_duration(idle)
    why = "agents send a heartbeat every few seconds, but logs that are followed may be silent"
    cure = (
        "raise the idle time-out of what stands between (nginx proxy_read_timeout, HAProxy timeout "
        "tunnel, idle_timeout of a balancer) to 60 s at least"
    )
    try:
        async with asyncio.timeout(idle):
            await wire.recv()
    except TimeoutError:
        pass
    except ConnectionClosed:
        after = format_duration(round(clock() - begun, 1))
        return IDLE.failed("idle_cut", f"the WebSocket was cut after {after} of silence", why, cure)
    if await _echoed(wire) is not None:
        finding = f"nothing passes any more after {wanted} of silence"
        return IDLE.failed("idle_dead", finding, why, cure)
    return IDLE.passed(f"outlives {wanted} of silence")
