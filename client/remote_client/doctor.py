"""What keeps `remotectl` from its server: the checks of `remotectl doctor`, in their order.

Reads the logins, the environment and certificates; asks the server. Changes nothing.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import replace
from errno import ENOENT
from functools import partial
from typing import Final

from pydantic import ValidationError

from remote_client.config import Access, config_file, read_contexts
from remote_client.errors import UsageError
from remote_client.proxies import find_proxy
from remote_client.sockets import SocketNetwork
from remote_protocol.api.bodies import Page
from remote_protocol.api.problems import Problem
from remote_protocol.api.queues import QueueView
from remote_protocol.api.tokens import TokenView
from remote_protocol.errors import ErrorCode
from remote_protocol.faults import cause_of
from remote_protocol.ids import TokenKind, kind_of
from remote_protocol.reachability import steps, way
from remote_protocol.reachability.ports import Answer
from remote_protocol.reachability.target import Target, ask
from remote_protocol.report import Check, Finding, Level, Status
from remote_protocol.urls import Proxy, is_loopback

CONTEXTS: Final = Check("contexts", Level.STATIC, ("contexts_damaged", "contexts_open_to_others"))
LOGIN: Final = Check(
    "login",
    Level.STATIC,
    ("login_unusable", "not_logged_in", "token_of_wrong_kind", "unencrypted_server"),
)
TOKEN: Final = Check(
    "token",
    Level.LIVE,
    ("token_expired", "token_of_wrong_kind", "token_refused", "token_unknown"),
)
QUEUES: Final = Check("queues", Level.LIVE, ("queue_not_served", "queue_paused", "queues_unknown"))
STREAM: Final = Check("stream", Level.LIVE, ("stream_buffered", "stream_refused"))
STATIC: Final = (CONTEXTS, LOGIN)
LIVE: Final = (*steps.CHECKS, TOKEN, QUEUES, STREAM)
STREAM_TIME: Final = 5.0
"""Seconds within which the beginning of a stream must come."""
_CODES: Final = {
    ErrorCode.EXPIRED_TOKEN: "token_expired",
    ErrorCode.INVALID_TOKEN: "token_unknown",
    ErrorCode.WRONG_TOKEN_KIND: "token_of_wrong_kind",
}
_NEW_TOKEN: Final = "ask an admin for a new one (remotectl token create), then remotectl login"


def examine(access: Callable[[], Access], text: Callable[[], str | None]) -> list[Finding]:
    """All findings. `access` is what flags, environment and logins give, `text` the given token;
    both raise UsageError."""
    found = [contexts()]
    login_finding, known = login(access, text)
    found.append(login_finding)
    if known is None:
        return [*found, *(check.needs(LOGIN.name) for check in LIVE)]
    return [*found, *_live(known)]


def contexts() -> Finding:
    """Whether the file with all logins can be read, and only by its owner."""
    path = config_file()
    try:
        known = read_contexts()
        mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0
    except (UsageError, OSError) as error:
        cure = "mend or remove it, then run remotectl login"
        return CONTEXTS.failed("contexts_damaged", f"{path} cannot be read", str(error), cure)
    if hasattr(os, "geteuid") and mode & 0o077:
        return CONTEXTS.failed(
            "contexts_open_to_others",
            f"{path} can be read by others (mode {mode:04o})",
            "whoever reads a token in it can use it",
            f"chmod 600 {path}; if others use this host, have the tokens revoked",
        )
    names = ", ".join(known.known) or "none"
    return CONTEXTS.passed(f"logins: {names}; current: {known.current or 'none'}")


def login(
    access: Callable[[], Access], text: Callable[[], str | None]
) -> tuple[Finding, Access | None]:
    """The server and the token, if they can be used."""
    try:
        known = access()
    except UsageError as error:
        return _unusable(str(error), text), None
    where = f"context {known.context}" if known.context else "flags and environment"
    return LOGIN.passed(f"{known.url}, by {where}"), known


def _unusable(said: str, text: Callable[[], str | None]) -> Finding:
    # The sentence has cause and cure.
    cause, _, cure = said.partition("; ")
    if said.startswith(("No server is named", "No token is given")):
        cure = "remotectl login --url URL, or set REMOTE_URL and REMOTE_TOKEN"
        return LOGIN.failed("not_logged_in", "server or token is missing", said, cure)
    if "is plain HTTP" in said:
        finding = "the token would be readable on the way"
        cure = "use https://, or --insecure in a network that you trust"
        return LOGIN.failed("unencrypted_server", finding, said, cure)
    try:
        kind = kind_of((text() or "").strip())
    except UsageError:
        kind = None
    if kind is not None and kind is not TokenKind.API:
        finding = f"this is no {TokenKind.API.words}"
        return LOGIN.failed("token_of_wrong_kind", finding, said, _NEW_TOKEN)
    cure = cure or "correct --url, --token-file, --context or their variables"
    return LOGIN.failed("login_unusable", "what was given cannot be used", cause, cure)


def _live(access: Access) -> list[Finding]:
    target, finding = _target(access)
    if finding is not None:
        return [finding if check is way.PROXY else check.needs(way.PROXY.name) for check in LIVE]
    trusted = partial(_trusted, access.ca_file)
    network = SocketNetwork(trusted)
    found, reached = steps.examine(target, network)
    if not reached:
        failed = next(one.check for one in reversed(found) if one.status is Status.FAIL)
        return [*found, *(check.needs(failed) for check in (TOKEN, QUEUES, STREAM))]
    get = partial(_get, target, access.token)
    finding = token(get("/whoami", network))
    if finding.status is Status.FAIL:
        return [*found, finding, QUEUES.needs(TOKEN.name), STREAM.needs(TOKEN.name)]
    patient = SocketNetwork(trusted, STREAM_TIME)
    events = get("/events?after=-1", patient, Accept="text/event-stream")
    return [*found, finding, queues(get("/queues?limit=1000", network)), stream(events)]


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    """What servers are verified with. OSError."""
    from remote_client.tls import trust

    try:
        return trust(ca_file)
    except UsageError as error:
        raise FileNotFoundError(ENOENT, str(error)) from None


def _target(access: Access) -> tuple[Target, Finding | None]:
    """The server and the way; a finding about its proxy when that cannot be tried."""
    target = Target(
        access.url, tunnels=False, for_agents=False, url_setting="--url or REMOTE_URL",
        proxy_origin=_no_proxy(access.url), ca_setting="--ca-file or REMOTE_CA_FILE",
    )  # fmt: skip
    try:
        proxy = find_proxy(access.url)
    except UsageError as error:
        cure = "correct that variable, or name the server's host in NO_PROXY"
        said = "the proxy that is named cannot be used"
        return target, way.PROXY.failed("proxy_unusable", said, str(error), cure)
    if proxy is None:
        return target, None
    if proxy.url.startswith("https:"):
        why = f"{proxy.place}, named by {proxy.variable}, is used, but not tried here"
        return target, way.PROXY.skipped("proxy_not_tried", why)
    return _through(target, proxy), None


def _through(target: Target, proxy: Proxy) -> Target:
    return replace(
        target, proxy=proxy.url, proxy_origin=proxy.variable, proxy_setting=proxy.variable
    )


def _no_proxy(url: str) -> str:
    host = url.partition("://")[2].partition("/")[0].rpartition(":")[0].strip("[]")
    if is_loopback(host):
        return "this very host is reached without one"
    return "none is named, or NO_PROXY excepts the server's host"


def _get(
    target: Target, text: str, path: str, network: SocketNetwork, **headers: str
) -> Answer | OSError:
    bearer = {"Authorization": f"Bearer {text}", **headers}
    try:
        return ask(target, network, f"/api/v1{path}", bearer)
    except OSError as error:
        return error


def _problem(answer: Answer) -> tuple[str, str]:
    """Code and detail of a problem; empty and the status for another answer."""
    try:
        problem = Problem.model_validate_json(answer.body)
    except ValidationError:
        return "", f"HTTP {answer.status}"
    return problem.code, problem.detail or problem.title


def token(answer: Answer | OSError) -> Finding:
    """Who the server takes us for."""
    if isinstance(answer, OSError):
        finding = "no answer about the token"
        return TOKEN.failed("token_refused", finding, cause_of(answer), "try again")
    try:
        me = TokenView.model_validate_json(answer.body) if answer.status == 200 else None
    except ValidationError:
        me = None
    if me is None:
        theirs, detail = _problem(answer)
        code = next((ours for code, ours in _CODES.items() if code == theirs), "token_refused")
        cure = "try again, and see the server's log" if code == "token_refused" else _NEW_TOKEN
        return TOKEN.failed(code, "the server refuses the token", detail, cure)
    until = "" if me.expires_at is None else f", until {me.expires_at:%Y-%m-%d %H:%M} UTC"
    return TOKEN.passed(f"good: {me.name}, role {me.role}{until}")


def queues(answer: Answer | OSError) -> Finding:
    """Whether every queue in which jobs wait is served, and runs."""
    try:
        if isinstance(answer, OSError):
            raise ValueError(cause_of(answer))
        found = Page[QueueView].model_validate_json(answer.body).items
    except ValueError as error:  # ValidationError is one
        why = _problem(answer)[1] if isinstance(answer, Answer) else str(error)
        finding = "the server does not tell its queues"
        return QUEUES.failed("queues_unknown", finding, why, "try again")
    waiting = [queue for queue in found if queue.queued]
    if paused := [queue.name for queue in waiting if queue.paused]:
        cure = f"remotectl queue resume {paused[0]}"
        why = "jobs wait there until it is resumed"
        return QUEUES.failed("queue_paused", f"paused: {', '.join(paused)}", why, cure)
    if alone := [queue.name for queue in waiting if not queue.healthy]:
        return QUEUES.failed(
            "queue_not_served",
            f"jobs wait, and no agent is online, in: {', '.join(alone)}",
            "none serves the queue, or those that do are offline",
            f"remotectl queue show {alone[0]}; on the agents' hosts: remote-agent doctor",
        )
    return QUEUES.passed(f"{len(found)} queues; where jobs wait, agents are online")


def stream(answer: Answer | OSError) -> Finding:
    """Whether what the server sends bit by bit arrives so: live output of jobs needs it."""
    cure = "switch buffering of answers off in what stands between (nginx proxy_buffering off)"
    if isinstance(answer, OSError):
        why = f"nothing came within {STREAM_TIME:.0f} s ({cause_of(answer)})"
        return STREAM.failed("stream_buffered", "a stream does not come through", why, cure)
    if answer.status != 200:
        why = _problem(answer)[1]
        return STREAM.failed("stream_refused", "the server refuses a stream", why, "try again")
    if not answer.body.startswith(b":"):
        return STREAM.failed("stream_buffered", "a stream comes changed", "", cure)
    return STREAM.passed("what is sent bit by bit arrives so")
