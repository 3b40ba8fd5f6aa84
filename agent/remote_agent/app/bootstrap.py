"""What an agent knows at its start, of itself and its way to the server: from its configuration,
what was said to `register`, and the host. Reads those, and prepares control groups."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from remote_agent import __version__
from remote_agent.app.ports import Watch
from remote_agent.config import Config
from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.identity import Identity, installation
from remote_agent.connection.uploader import MOST_OPEN
from remote_agent.errors import ConfigError, os_words
from remote_agent.journal.containers import find_engine
from remote_agent.journal.files import JobFiles
from remote_agent.journal.users import Users
from remote_agent.planning.engine import Engine
from remote_agent.planning.kinds import special
from remote_agent.processes import (
    boot_id,
    can_enter,
    cgroup,
    host_facts,
    raise_descriptors,
    unnamed_account,
)
from remote_agent.session.hello import HostFacts
from remote_agent.values import open_way_words
from remote_protocol.messages import Platform, Settings
from remote_protocol.urls import is_unencrypted

log = structlog.get_logger("agent")

_FEW_FILES: Final = 64
"""Open files that the agent needs, whatever runs."""
_LEAST_SPOOLS: Final = 8


def job_group(wanted: str) -> str | None:
    """The group below which jobs get theirs; None: limits are enforced without groups."""
    if wanted == "off":
        return None
    try:
        own = group_of("self") if wanted == "auto" else None
        folder = wanted if wanted != "auto" else own and cgroup.group_for_jobs(own)
        if folder is None:
            return None
        log.info("jobs with limits get control groups", controllers=sorted(cgroup.prepare(folder)))
    except OSError as error:
        log.warning(
            "control groups cannot be used; the limits of jobs are watched instead",
            reason=os_words(error, wanted),
        )
        return None
    return folder


def group_of(process: str) -> str | None:
    """The folder of the control group of a process (a number, or `self`); None without version 2.
    OSError when there is no such process."""
    if not os.path.exists("/proc/self/cgroup"):
        return None
    texts = (Path(f"/proc/{process}/cgroup"), Path(f"/proc/{process}/mountinfo"))
    return cgroup.own_group(*(text.read_text() for text in texts))


class FileLimits(NamedTuple):
    """How many files may be open."""

    of_jobs: int | None
    """By each job: as many as the agent before it raised its own limit."""
    open_spools: int
    """For logs, that the agent keeps open."""


def file_limits() -> FileLimits:
    """Raise the agent's own limit, and share it out."""
    before, now = raise_descriptors()
    if now < _FEW_FILES:
        log.warning("the agent may open few files; raise LimitNOFILE= or ulimit -n", files=now)
    spools = max(_LEAST_SPOOLS, min(MOST_OPEN, (now - _FEW_FILES) // 2))
    return FileLimits(before, spools)


def check_users(users: Users, files: JobFiles) -> None:
    """Check that separate jobs can reach their files. ConfigError, OSError."""
    files.prepare()
    user = users.one or (unnamed_account(users.range.first) if users.range else None)
    if user is not None and not can_enter(str(files.root), user):
        raise ConfigError(
            f"[jobs]: user {user.name} cannot pass to {files.root}, where jobs have their files: "
            "let others pass its parents (chmod o+x), or name another place with [agent] work_dir"
        )
    if not users.separate:
        words = "jobs run as the agent's own user, and can read and signal it; see [jobs] run_as"
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        (log.warning if root else log.info)(words)


def settings_of(config: Config, identity: Identity | None) -> Settings:
    """What the configuration says, and where it is silent, what was said to `register`."""
    said = config.agent.settings.model_dump(exclude_none=True)
    return Settings.model_validate((identity.settings if identity else {}) | said)


def facts_of(config: Config, identity: Identity, engine: Engine | None = None) -> HostFacts:
    """What a hello says about this host and its agent. OSError when that cannot be kept."""
    platform = host_platform()
    if kinds := special(engine):
        platform = platform.model_copy(update={"kinds": kinds})
    return HostFacts(
        __version__,
        installation(config.state_dir),
        boot_id(),
        os.urandom(8).hex(),
        platform,
        settings_of(config, identity),
    )


def engine_of(config: Config) -> Engine | None:
    """What runs the containers of jobs, if anything does. OSError."""
    try:
        found = find_engine(
            config.containers, os.environ, installation(config.state_dir), config.jobs.separate
        )
    except OSError:
        return None
    if found is not None:
        log.info("jobs may run in containers", engine=found.program)
    return found


def host_platform() -> Platform:
    """What this host is, for people to read."""
    return Platform(**host_facts()._asdict(), python=sys.version.split()[0])


def endpoint_of(config: Config, identity: Identity) -> Endpoint:
    """The server and the way to it. ConfigError for plain HTTP that nobody wanted."""
    url = config.server.url or identity.server
    if is_unencrypted(url) and not (config.server.insecure or identity.insecure):
        raise ConfigError(open_way_words(url))
    _look_after_key(config.server.client_key)
    return replace(way_to(url, config, identity), token=identity.token)


def way_to(url: str, config: Config, identity: Identity | None) -> Endpoint:
    """The way to a server, without a token: where the configuration is silent, as before."""

    def text(path: Path | None) -> str | None:
        return None if path is None else str(path.absolute())

    server = config.server
    return Endpoint(
        url=url,
        proxy=server.proxy or (identity.proxy if identity else None),
        ca_file=text(server.ca_file) or (identity.ca_file if identity else None),
        client_cert=text(server.client_cert),
        client_key=text(server.client_key),
        max_wait=server.max_reconnect_wait,
    )


def watch_of(name: str) -> Watch | None:
    """Who looks on for an extension. ConfigError when it cannot be loaded."""
    # Most agents are compatible with nothing.
    from remote_protocol.extensions import BrokenExtension, find, part

    try:
        extension = find(name)
        if extension is None or extension.watch is None:
            return None
        watch: Watch = part(name, extension.watch)()
        return watch
    except BrokenExtension as error:
        raise ConfigError(f"[agent] compatible_with: {error}") from None


def _look_after_key(key: Path | None) -> None:
    """Say so when others can use the client's key. Windows has no such modes."""
    if key is None or not hasattr(os, "geteuid"):
        return
    with suppress(OSError):  # what is wrong with the file is said when it is used
        if key.stat().st_mode & 0o027:
            log.warning(
                "others on this host can read the client key or change it; take that right away: "
                f"chmod 600 {shlex.quote(str(key))}"
            )
