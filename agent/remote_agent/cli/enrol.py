"""`register` and `unregister`: from flags, environment and file to an identity on the disk."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shlex
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from remote_agent import __version__, backoff
from remote_agent.app.bootstrap import host_platform, settings_of, way_to
from remote_agent.cli.call import flags_of, load, read_token, to_enrol
from remote_agent.cli.variables import switch_of
from remote_agent.config import Config
from remote_agent.connection import enrolment
from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.enrolment import NEED_SERVER, NEED_TOKEN
from remote_agent.connection.identity import (
    DamagedIdentity,
    Identity,
    load_identity,
    remove_identity,
    reserve_identity,
    save_identity,
)
from remote_agent.errors import AgentError, ConfigError, TokenRefused, Unreachable
from remote_agent.journal.folder import unsettled
from remote_agent.local.control import NotRunning, ask
from remote_agent.local.health_files import EVERY, HealthFiles
from remote_agent.local.notify import ServiceStatus
from remote_agent.session.capacity import unused
from remote_agent.values import open_way_words
from remote_protocol.api.registration import Registered, Registration
from remote_protocol.ids import Name, TokenKind, kind_of
from remote_protocol.printable import printable
from remote_protocol.urls import is_unencrypted

_ONE_TRY: Final = 90.0
"""Seconds that one try to enrol surely takes less than: systemd waits for so long."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a host wants to be enrolled, besides its configuration."""

    token: str | None = field(default=None, repr=False)
    replace: bool = False
    ephemeral: bool = False


def register(options: argparse.Namespace) -> int:
    """Enrol this host; the same settings again change nothing."""
    config, _ = load(options, flags_of(options))
    wanted = Options(read_token(options), options.replace, options.ephemeral)
    try:
        known = load_identity(config.state_dir)
    except DamagedIdentity:
        if not options.replace:
            raise
        known = None
    identity, answer = enrol(config, known, wanted)
    if identity != known:
        save_identity(config.state_dir, identity)
    changed = answer.changed or known is None or known.token != identity.token
    if options.output == "json":
        print(json.dumps(json.loads(answer.model_dump_json(exclude={"token"})), indent=2))
    elif changed:
        queues = ", ".join(answer.assignment.queues)
        print(f"registered as {answer.name} at {identity.server}, queues: {queues}")
        print(_next_step(config.state_dir, options.state_dir))
        if warning := unused(answer.assignment.capacity, answer.assignment.queues):
            print(f"remote-agent: {warning}", file=sys.stderr)
    else:
        print(f"already registered as {answer.name} at {identity.server}; nothing to do")
    return 0


def register_first(config: Config, options: argparse.Namespace | None = None) -> None:
    """Enrol on the first `run` when flags or environment say all that is needed.

    An identity for another server than the configured one is replaced when there is a token.
    ConfigError names everything that is missing, at once.
    """
    known = load_identity(config.state_dir)
    url, token = config.server.url, read_token(options)
    if not to_enrol(known, url, token):
        return
    missing = [
        *([] if url else [NEED_SERVER]),
        *([] if token else [NEED_TOKEN]),
    ]
    if missing:
        raise ConfigError(
            f"this agent is not registered ({config.state_dir}); run remote-agent register, or, "
            "to enrol on the first run, give\n  " + "\n  ".join(missing)
        )
    replace = options.replace if options else switch_of("--replace")
    ephemeral = options.ephemeral if options else switch_of("--ephemeral")
    wanted = Options(token, known is not None or replace, ephemeral)
    save_identity(config.state_dir, _enrol_with_retries(config, known, wanted))


def _enrol_with_retries(config: Config, known: Identity | None, wanted: Options) -> Identity:
    """Enrol as soon as the server is there: a service may start before it.

    It is alive meanwhile, and not ready. SIGTERM ends the process, in an orderly way.
    """
    health = HealthFiles(config.telemetry)
    # Asked for here: the first process of a container is not ended by one that nobody handles.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return _enrol_until(config, known, wanted, health)
    except BaseException:
        health.remove()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _enrol_until(
    config: Config, known: Identity | None, wanted: Options, health: HealthFiles
) -> Identity:
    said, failures = "", 0
    service = ServiceStatus(os.environ)
    while True:
        health.turn(time.monotonic(), ready=False)
        try:
            return enrol(config, known, wanted)[0]
        except Unreachable as error:
            if str(error) != said:
                said = str(error)
                shown = printable(said)
                print(f"remote-agent: {shown}; trying again", file=sys.stderr, flush=True)
        wait = backoff.delay(failures, random.random(), config.server.max_reconnect_wait)
        service.waiting(f"not registered yet: {said}", wait + _ONE_TRY)
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0:
            health.turn(time.monotonic(), ready=False)
            time.sleep(min(left, EVERY))
        failures += 1


def unregister(options: argparse.Namespace) -> int:
    """Delete the agent on the server and forget its token; local logs stay."""
    config, _ = load(options)
    known = load_identity(config.state_dir)
    if known is None:
        print("not registered; nothing to do")
        return 0
    running, undelivered = unsettled(config.state_dir)
    if (running or undelivered) and not options.force:
        raise AgentError(
            f"{len(running)} jobs run here and {len(undelivered)} results have not reached the "
            "server: first remote-agent drain, or leave them behind with --force"
        )
    enrolment.unregister(way_to(known.server, config, known), known.token)
    remove_identity(config.state_dir)
    print(f"{known.name} has left {known.server}; logs of its jobs stay in {config.state_dir}")
    if _process(config.state_dir) is not None:
        print("the agent that still runs here exits by itself (token refused, 4)")
    return 0


def enrol(config: Config, known: Identity | None, wanted: Options) -> tuple[Identity, Registered]:
    """Register with the server; the identity to keep, and its answer. AgentError says why not."""
    url = config.server.url or (known.server if known else None)
    if url is None:
        raise ConfigError(
            "missing: " + NEED_SERVER + ("" if wanted.token else f"\nmissing: {NEED_TOKEN}")
        )
    insecure = config.server.insecure or (known is not None and known.insecure)
    if is_unencrypted(url) and not insecure:
        raise ConfigError(open_way_words(url))
    at_home = known is not None and known.server == url
    name = config.agent.name or (known.name if known and at_home else default_name())
    mine = known if known and at_home and known.name == name else None
    if known is not None and mine is None and not wanted.replace:
        raise ConfigError(
            f"this host is registered already, as {known.name} at {known.server}: leave first "
            "(remote-agent unregister), or add --replace, or give a second agent a --state-dir "
            "of its own"
        )
    tokens = _tokens(mine, wanted.token)
    endpoint = way_to(url, config, known)
    fingerprint = known.fingerprint if known else None
    if mine is None:
        fingerprint = reserve_identity(config.state_dir, fingerprint)
    request = Registration(
        name=name,
        settings=settings_of(config, mine),
        replace=wanted.replace,
        ephemeral=wanted.ephemeral or (mine is not None and mine.ephemeral),
        agent_version=__version__,
        platform=host_platform(),
        fingerprint=fingerprint or "",
    )
    token, answer = _register_with(endpoint, tokens, request, mine)
    identity = Identity(
        server=url,
        name=answer.name,
        token=answer.token or token,
        fingerprint=request.fingerprint,
        ca_file=endpoint.ca_file,
        proxy=endpoint.proxy,
        ephemeral=request.ephemeral,
        insecure=insecure and is_unencrypted(url),
        settings=json.loads(request.settings.model_dump_json(exclude_none=True)),
    )
    return identity, answer


def _tokens(mine: Identity | None, given: str | None) -> list[str]:
    """Which tokens to show, in this order: the agent's own before a registration token, so that
    no use of that is spent, but after an agent token that somebody has made for it since."""
    if given is None and mine is None:
        raise ConfigError("missing: " + NEED_TOKEN)
    if given is not None and (mine is None or kind_of(given) is TokenKind.AGENT):
        return [given]
    return [token for token in (mine.token if mine else None, given) if token]


def _register_with(
    endpoint: Endpoint, tokens: list[str], request: Registration, mine: Identity | None
) -> tuple[str, Registered]:
    for token in tokens[:-1]:
        try:
            return token, enrolment.register(endpoint, token, request)
        except TokenRefused:
            continue
    try:
        return tokens[-1], enrolment.register(endpoint, tokens[-1], request)
    except TokenRefused as error:
        if mine is None or tokens != [mine.token]:
            raise
        raise TokenRefused(
            f"the server refuses this agent's own token: {error}; register again with " + NEED_TOKEN
        ) from None


def default_name() -> str:
    """The host's name as an agent's name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-._") or "agent"
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise ConfigError(f"the host name {name!r} is no agent name; give --name") from None


def _process(state_dir: Path) -> int | None:
    try:
        return int(ask(state_dir, {"do": "status"}).get("pid", 0))
    except NotRunning:
        return None
    except AgentError:
        return 0


def _next_step(state_dir: Path, flag: str | None) -> str:
    process = _process(state_dir)
    if process:
        return f"the running agent takes this over with: kill -HUP {process}"
    return "start it: remote-agent run" + (f" --state-dir {shlex.quote(flag)}" if flag else "")
