"""All checks of `remote-agent doctor`, in their order. What builds on a failed check is skipped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.request import getproxies, proxy_bypass

from remote_agent.app.bootstrap import settings_of, way_to
from remote_agent.config import Config
from remote_agent.connection.endpoint import Endpoint, tls_of
from remote_agent.connection.identity import Identity
from remote_agent.doctor import confinement, host, live, running, secrets, settings
from remote_agent.doctor.network import TIMEOUT, SocketNetwork
from remote_protocol.reachability import steps
from remote_protocol.reachability.target import Target, ask
from remote_protocol.report import Check, Finding, Status
from remote_protocol.urls import choose_proxy

STATIC: Final[tuple[Check, ...]] = (
    settings.CONFIGURATION,
    host.STATE_DIRECTORY,
    settings.IDENTITY,
    settings.GIVEN_TOKEN,
    host.DISK,
    host.PROGRAMS,
    secrets.SECRETS,
    confinement.CONTROL_GROUPS,
    confinement.SEPARATION,
    confinement.MEMORY,
    running.AGENT,
    running.LINK,
    running.CONDITION,
    running.CAPACITY,
    running.ENVIRONMENT,
    running.SERVICE,
)


LIVE: Final[tuple[Check, ...]] = (*steps.CHECKS, *live.CHECKS)
_URL: Final = "--server or [server] url"
_PROXY: Final = "--proxy, [server] proxy or HTTPS_PROXY"
_CA: Final = "--ca-file or [server] ca_file"


@dataclass(frozen=True, slots=True)
class Known:
    """What the static checks have learnt for the live ones."""

    endpoint: Endpoint | None
    """With the agent's token, or else the given one, if any; None: the server is not known, or may
    not be asked."""
    proxy_origin: str
    queues: Collection[str]
    """Those that the agent asks for."""
    lacking: Check
    """What the live checks lack without an endpoint."""


def examine_host(
    load: Callable[[], Config], given: settings.GivenToken, environ: Mapping[str, str]
) -> tuple[list[Finding], Known | None]:
    """The static checks; None when not even the configuration can be read."""
    found, config = settings.configuration(load)
    if config is None:
        return [found, *(check.needs(found.check) for check in STATIC[1:])], None
    token_finding, token = settings.given_token(given)
    identity_finding, identity = settings.identity(
        config.state_dir, config.server.url, token is not None
    )
    url = config.server.url or (identity.server if identity else None)
    insecure = config.server.insecure or (identity is not None and identity.insecure)
    refused = settings.unencrypted(url, insecure)
    agent, status = running.agent(config.state_dir, identity is not None)
    own = confinement.own_group("self" if status is None else str(status.get("pid", "self")))
    findings = [
        refused or found,
        host.state_directory(config.state_dir),
        identity_finding,
        token_finding,
        host.disk(config.state_dir, config.limits.min_free_disk),
        host.programs(_work(config)),
        secrets.secrets(config.secrets),
        confinement.control_groups(config.limits.cgroup, own),
        confinement.separation(config.jobs),
        confinement.memory(own),
        agent,
        *running.checks_of(status, environ, config.state_dir),
        running.service(),
    ]
    text = token if identity is None else identity.token
    endpoint = None if url is None else replace(way_to(url, config, identity), token=text or "")
    wanted = settings_of(config, identity).queues or ()
    lacking = settings.CONFIGURATION if refused else settings.IDENTITY
    way = None if refused else endpoint
    return findings, Known(way, origin_of(config, identity), wanted, lacking)


def _work(config: Config) -> Path:
    """Where programs of jobs must run. Not the attempts' own folder: the agent looks there for
    what is no attempt."""
    return config.agent.work_dir or config.state_dir


def origin_of(config: Config, identity: Identity | None) -> str:
    """What names the agent's proxy, or why it has none."""
    if config.server.proxy:
        return "--proxy or [server] proxy"
    if identity is not None and identity.proxy:
        return "register --proxy"
    url = config.server.url or (identity.server if identity else "")
    named = getproxies()
    if found := choose_proxy(url, named, proxy_bypass):
        return found.variable
    if choose_proxy(url, named, lambda host: False):
        return "NO_PROXY excepts the server's host"
    return "no proxy is named"


def examine_server(
    known: Known | None, idle: float | None, timeout: float = TIMEOUT
) -> list[Finding]:
    """The live checks. `idle`: seconds of silence to try, `timeout`: seconds for each step."""
    endpoint = known.endpoint if known else None
    if known is None or endpoint is None:
        lacking = known.lacking if known else settings.CONFIGURATION
        return [check.needs(lacking.name) for check in LIVE]
    target = Target(
        endpoint.url,
        endpoint.via,
        known.proxy_origin,
        url_setting=_URL,
        proxy_setting=_PROXY,
        ca_setting=_CA,
    )
    network = SocketNetwork(lambda: tls_of(endpoint), timeout)
    findings, reached = steps.examine(target, network)
    if not reached:
        failed = next(one.check for one in reversed(findings) if one.status is Status.FAIL)
        return [*findings, *(check.needs(failed) for check in live.CHECKS)]
    if not endpoint.token:
        why = "there is no token: register, or give one with --token-file"
        return [
            *findings,
            live.TOKEN.skipped("no_token", why),
            *(check.needs(live.TOKEN.name) for check in live.CHECKS[1:]),
        ]
    return [*findings, *_with_token(endpoint, target, network, known.queues, idle)]


def _with_token(
    endpoint: Endpoint,
    target: Target,
    network: SocketNetwork,
    queues: Collection[str],
    idle: float | None,
) -> list[Finding]:
    bearer = {"Authorization": f"Bearer {endpoint.token}"}
    try:
        finding, view = live.token(ask(target, network, live.REGISTRATION_PATH, bearer))
    except OSError as error:
        finding, view = live.unanswered(error), None
    if view is None:
        return [finding, *(check.needs(finding.check) for check in live.CHECKS[1:])]
    return [
        finding,
        live.mode(view),
        live.queues(live.Bearer(view, queues)),
        *live.websocket(endpoint, idle),
    ]
