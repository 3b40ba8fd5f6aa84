"""`register` and `unregister`: from flags, environment and file to an identity on the disk."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from remote_agent import __version__
from remote_agent import config as configuration
from remote_agent import register as enrolment
from remote_agent.config import Config
from remote_agent.errors import ConfigError
from remote_agent.identity import (
    Identity,
    load_identity,
    new_fingerprint,
    remove_identity,
    save_identity,
)
from remote_protocol.api import Registered, Registration
from remote_protocol.ids import Name
from remote_protocol.messages import Platform


def register(options: argparse.Namespace) -> int:
    """Enrol this host; the same settings again change nothing."""
    flags: dict[tuple[str, str], object] = {
        ("server", "url"): options.server,
        ("server", "proxy"): options.proxy,
        ("server", "ca_file"): options.ca_file,
        ("agent", "name"): options.name,
        ("agent", "queues"): options.queue,
        ("agent", "labels"): options.label,
        ("agent", "capacity"): options.capacity,
    }
    config, _ = configuration.load(options.config, os.environ, flags, options.state_dir)
    known = load_identity(config.state_dir)
    token = _token(options.token, options.token_file)
    door = _door(config, known, token)
    identity, answer = _enrol(config, door, token, known, options)
    if answer.changed or known is None or identity != known:
        save_identity(config.state_dir, identity)
    if options.output == "json":
        print(json.dumps(json.loads(answer.model_dump_json(exclude={"token"})), indent=2))
    elif answer.changed:
        queues = ", ".join(answer.assignment.queues)
        print(f"registered as {answer.name} at {identity.server}, queues: {queues}")
        print("start it: remote-agent run" + _state_dir_flag(options))
    else:
        print(f"already registered as {answer.name} at {identity.server}; nothing to do")
    return 0


def register_from_environment(options: argparse.Namespace, config: Config) -> None:
    """Enrol on the first `run` when the environment says all that is needed (R45).

    ConfigError names everything that is missing, at once (R44).
    """
    token = _token(None, None)
    missing = []
    if config.server.url is None:
        missing.append("the server (REMOTE_AGENT_SERVER)")
    if token is None:
        missing.append("a token (REMOTE_AGENT_TOKEN or REMOTE_AGENT_TOKEN_FILE)")
    if missing:
        raise ConfigError(
            f"this agent is not registered ({config.state_dir}). Run remote-agent register, or, to "
            f"enrol on the first run, set: {'; '.join(missing)}"
        )
    defaults = argparse.Namespace(replace=False, ephemeral=False, **vars(options))
    identity, _ = _enrol(config, _door(config, None, token), token, None, defaults)
    save_identity(config.state_dir, identity)


def unregister(options: argparse.Namespace) -> int:
    """Delete the agent on the server and forget its token; local logs stay."""
    config, _ = configuration.load(options.config, os.environ, None, options.state_dir)
    known = load_identity(config.state_dir)
    if known is None:
        print("not registered; nothing to do")
        return 0
    enrolment.unregister(_door(config, known, known.token), known.token)
    remove_identity(config.state_dir)
    print(f"{known.name} has left {known.server}; logs of its jobs stay in {config.state_dir}")
    return 0


def _enrol(
    config: Config,
    door: enrolment.Door,
    token: str | None,
    known: Identity | None,
    options: argparse.Namespace,
) -> tuple[Identity, Registered]:
    same_server = known is not None and known.server == door.url
    name = config.agent.name or (known.name if known and same_server else default_name())
    mine = known if known and same_server and known.name == name else None
    if token is None:
        if mine is None:
            raise ConfigError(
                "no token is given: --token-file FILE, or REMOTE_AGENT_TOKEN; an admin makes "
                "one: remotectl registration-token create"
            )
        token = mine.token
    fingerprint = known.fingerprint if known else new_fingerprint()
    request = Registration(
        name=name,
        settings=config.agent.settings,
        replace=options.replace,
        ephemeral=options.ephemeral,
        agent_version=__version__,
        platform=host_platform(),
        fingerprint=fingerprint,
    )
    # With the agent's own token where it has one, so that no use of a registration token is spent.
    answer = enrolment.register(door, mine.token if mine else token, request)
    own = answer.token or (mine.token if mine else token)
    identity = Identity(
        server=door.url,
        name=answer.name,
        token=own,
        fingerprint=fingerprint,
        ca_file=door.ca_file,
        proxy=config.server.proxy or (known.proxy if known and same_server else None),
        ephemeral=options.ephemeral,
        settings=json.loads(config.agent.settings.model_dump_json(exclude_none=True)),
    )
    if mine and not identity.settings:
        identity = replace(identity, settings=mine.settings)
    return identity, answer


def _door(config: Config, known: Identity | None, token: str | None) -> enrolment.Door:
    url = config.server.url or (known.server if known else None)
    if url is None:
        missing = ["the server: --server URL or REMOTE_AGENT_SERVER"]
        if token is None:
            missing.append("a token: --token-file FILE or REMOTE_AGENT_TOKEN")
        raise ConfigError("missing " + "; ".join(missing))
    ca_file = config.server.ca_file
    return enrolment.Door(
        url=enrolment.check_url(url),
        proxy=config.server.proxy or (known.proxy if known else None),
        ca_file=str(ca_file.absolute()) if ca_file else (known.ca_file if known else None),
        client_cert=_text(config.server.client_cert),
        client_key=_text(config.server.client_key),
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _token(flag: str | None, file: Path | None) -> str | None:
    file = file or (Path(text) if (text := os.environ.get("REMOTE_AGENT_TOKEN_FILE")) else None)
    given = flag or None
    if given is None and file is not None:
        try:
            given = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the token file {file} cannot be read: {error}") from None
    given = given or os.environ.get("REMOTE_AGENT_TOKEN")
    return enrolment.check_token(given) if given else None


def default_name() -> str:
    """The host's name as an agent's name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-._") or "agent"
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise ConfigError(f"the host name {name!r} is no agent name; give --name") from None


def host_platform() -> Platform:
    """What this host is, for people to read."""
    facts = platform.uname()
    return Platform(
        system=facts.system,
        release=facts.release,
        machine=facts.machine,
        hostname=facts.node,
        python=platform.python_version(),
    )


def _state_dir_flag(options: argparse.Namespace) -> str:
    return f" --state-dir {options.state_dir}" if options.state_dir else ""
