"""What launchd is told of the agent: its property list (launchd.plist(5)). Pure.

`installers/macos/` holds the same lists for packages and for reading; a test compares them.
"""

from __future__ import annotations

import plistlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from remote_agent.service.units import Choice

LABEL: Final = "remote-agent"
FILE: Final = f"{LABEL}.plist"
ROLE: Final = "_launchd"
"""First argument by which the program knows that launchd has started it."""
_PATH: Final = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""launchd's own has nothing that people install."""
_THROTTLE: Final = 10
"""Seconds between two starts at the least: that of launchd, too."""
_EXIT: Final = 90
"""Seconds that the agent may take to exit, until launchd kills it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the service keeps what it needs."""

    state_dir: PurePath
    config_dir: PurePath
    token: PurePath | None = None
    """The registration token; None for none."""


def daemon(choice: Choice, places: Places, variables: Mapping[str, str]) -> bytes:
    """A daemon: it starts with the host, as a user that need not be logged in."""
    extra = {"UserName": choice.user, "SessionCreate": True}
    return _dump(choice, places, variables, extra)


def login_agent(choice: Choice, places: Places, variables: Mapping[str, str]) -> bytes:
    """An agent in launchd's sense: it starts when its user logs in, within that session."""
    return _dump(choice, places, variables, {"LimitLoadToSessionType": "Aqua"})


def _dump(
    choice: Choice, places: Places, variables: Mapping[str, str], extra: Mapping[str, Any]
) -> bytes:
    environment = {
        "PATH": _PATH,
        "REMOTE_AGENT_STATE_DIR": str(places.state_dir),
        "CONFIGURATION_DIRECTORY": str(places.config_dir),
    }
    if places.token is not None:
        environment["REMOTE_AGENT_TOKEN_FILE"] = str(places.token)
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": [choice.program, ROLE],
            "EnvironmentVariables": {**environment, **variables},
            "RunAtLoad": True,
            # Not after exit code 0: it was told to end (drain, SIGTERM), or the server refuses its
            # token. launchd tells other codes not apart, so the program ends with 0 then, too.
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": _THROTTLE,
            "ExitTimeOut": _EXIT,
            # Jobs outlive the agent's restart.
            "AbandonProcessGroup": True,
            "Umask": 0o077,
            "WorkingDirectory": "/",
            # The agent keeps a log of its own, which is bounded.
            "StandardOutPath": "/dev/null",
            "StandardErrorPath": "/dev/null",
            **extra,
        }
    )


def variables_of(lines: Iterable[str]) -> dict[str, str]:
    """The variables of a file as systemd's EnvironmentFile= has them: launchd reads none."""
    return dict(_pairs(lines))


def _pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, equals, text = line.strip().partition("=")
        if not equals or name.startswith(("#", ";")):
            continue
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1]
        yield name.strip(), text
