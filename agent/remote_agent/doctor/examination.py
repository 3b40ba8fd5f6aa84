"""All checks of `remote-agent doctor`, in their order. What builds on a failed check is skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remote_agent.config import Config
from remote_agent.connection.identity import Identity
from remote_agent.doctor import confinement, host, running, settings
from remote_protocol.report import Check, Finding

STATIC: Final[tuple[Check, ...]] = (
    settings.CONFIGURATION,
    host.STATE_DIRECTORY,
    settings.IDENTITY,
    settings.GIVEN_TOKEN,
    host.DISK,
    host.PROGRAMS,
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


@dataclass(frozen=True, slots=True)
class Known:
    """What the static checks have learnt for the live ones."""

    config: Config
    identity: Identity | None
    token: str | None
    """The given one."""


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
    agent, status = running.agent(config.state_dir, identity is not None)
    own = confinement.own_group("self" if status is None else str(status.get("pid", "self")))
    findings = [
        found,
        host.state_directory(config.state_dir),
        identity_finding,
        token_finding,
        host.disk(config.state_dir, config.limits.min_free_disk),
        host.programs(_work(config)),
        confinement.control_groups(config.limits.cgroup, own),
        confinement.separation(config.jobs),
        confinement.memory(own),
        agent,
        *running.checks_of(status, environ, config.state_dir),
        running.service(),
    ]
    return findings, Known(config, identity, token)


def _work(config: Config) -> Path:
    """The folder below which jobs have their files."""
    return config.agent.work_dir or config.state_dir / (
        "jobs" if config.jobs.separate else "attempts"
    )
