"""From a host with the program to a service that is online. Files of the service, its account."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from remote_agent.errors import AgentError, ConfigError, os_words
from remote_agent.service.files import put
from remote_agent.service.online import DEADLINE, wait_until_online
from remote_agent.service.port import ServicePort
from remote_agent.service.units import USER_RANGE, Choice

TOKEN_FILE: Final = "token"
ENVIRONMENT: Final = "agent.env"
_SERVER: Final = "REMOTE_AGENT_SERVER"
_BYTES: Final = "surrogateescape"
_JOBS: Final = ("REMOTE_AGENT_JOBS_RUN_AS", "REMOTE_AGENT_JOBS_USER_RANGE")


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller wants of the service. None: as it is, or the default."""

    program: str
    user: str | None = None
    profile: str | None = None
    server: str | None = None
    token: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    start: bool = True
    deadline: float = DEADLINE
    """Seconds until it has to be online; 0: nobody waits for that."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What has come of it."""

    changed: list[str]
    """Paths that were written, and the account that was made."""
    user: str
    profile: str
    status: dict[str, Any] | None
    """The agent's; None when it was not to be started, or not to be waited for."""
    restarted: bool = False
    """Whether it ran before, and was started anew."""


def install(
    port: ServicePort,
    request: Request,
    separate: bool = False,
) -> Installed:
    """Install the service or change it, start it, and wait until it is online.

    `separate`: the configuration names users of jobs. AgentError says what is in the way; what
    was done until then stays, and the next call goes on from there.
    """
    before = port.state()
    user = request.user or before.user or port.account
    profile = request.profile or before.profile or port.profiles[0]
    if profile not in port.profiles:
        raise ConfigError(f"--profile: {profile!r} is none of {', '.join(port.profiles)}")
    port.check()
    changed = port.prepare(request.program, user, profile)
    changed += _write_settings(port.config_dir, request)
    named = separate or _names_users(port.config_dir / ENVIRONMENT)
    ranged = profile == "users" and not named
    user_range = USER_RANGE if ranged else None
    choice = Choice(request.program, user, profile, user_range, request.password)
    changed += port.install(choice)
    if not request.start:
        return Installed(changed, user, profile, None)
    restart = (changed or before.outdated) and before.active in ("active", "activating")
    if restart:
        port.restart()
    else:
        port.start()
    status = wait_until_online(port, request.deadline) if request.deadline else None
    return Installed(changed, user, profile, status, bool(restart))


def _write_settings(config_dir: Path, request: Request) -> list[str]:
    """Keep server and token where the unit reads them; the paths that have changed."""
    changed = []
    try:
        token, path = config_dir / TOKEN_FILE, config_dir / ENVIRONMENT
        if request.token is not None and put(token, f"{request.token}\n".encode(), 0o600):
            changed.append(str(token))
        if request.server is not None:
            lines, mode = _lines(path), 0o644
            if path.exists():
                # Its owner may have closed it: a proxy's password can stand there.
                mode = stat.S_IMODE(path.stat().st_mode)
            kept = [line for line in lines if not line.startswith(f"{_SERVER}=")]
            text = "\n".join([*kept, f"{_SERVER}={request.server}"]) + "\n"
            if put(path, text.encode(errors=_BYTES), mode):
                changed.append(str(path))
    except OSError as error:
        raise AgentError(f"{os_words(error, config_dir)}; nothing was started") from None
    return changed


def _lines(environment: Path) -> list[str]:
    """The lines of the service's variables, in whatever encoding; none without the file."""
    try:
        return environment.read_text(encoding="utf-8", errors=_BYTES).splitlines()
    except FileNotFoundError:
        return []


def _names_users(environment: Path) -> bool:
    return any(line.partition("=")[0] in _JOBS for line in _lines(environment))
