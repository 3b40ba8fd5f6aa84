"""The account of the service: made and removed, and whether it can run the program.

Calls useradd, userdel and the agent itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

from remote_agent.errors import AgentError, ConfigError, os_words
from remote_agent.processes import account, chown_tree
from remote_agent.service.calling import call, last_line
from remote_agent.service.units import STATE_DIR

_COMMENT: Final = "remote-agent service"
"""By this in the database of users we know an account that we have made."""
_TIMEOUT: Final = 60.0
_HIDDEN: Final = dict.fromkeys(
    ("strict", "users"), ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")
)
"""What the profiles keep from the service."""


class Owner(Protocol):
    """The service manager, as far as it knows of accounts."""

    account: str
    state_dir: Path

    def make_account(self) -> None:
        """Make the user `account`."""


def prepare(owner: Owner, program: str, user: str, profile: str) -> list[str]:
    """Have the account, which can run the program, and its state directory; what was made.
    AgentError."""
    made = []
    if not exists(user):
        if user != owner.account:
            raise ConfigError(f"there is no user {user} on this host; make it, or leave out --user")
        owner.make_account()
        made.append(f"user {user}")
    try:
        if own(owner.state_dir, user):
            made.append(str(owner.state_dir))
    except OSError as error:
        raise AgentError(f"{os_words(error, owner.state_dir)}; nothing was started") from None
    check_program(program, user, profile, owner.state_dir)
    return made


def exists(name: str) -> bool:
    """Whether there is such a user."""
    try:
        account(name)
    except KeyError:
        return False
    return True


def own_uid() -> int:
    """The number of this process's user; -1 where users have none."""
    return os.geteuid() if hasattr(os, "geteuid") else -1


def make(name: str) -> None:
    """Make a user without a login for the service. AgentError."""
    _run(
        "useradd",
        *("--system", "--user-group", "--home-dir", STATE_DIR, "--no-create-home"),
        *("--shell", "/usr/sbin/nologin", "--comment", _COMMENT, name),
    )


def remove(name: str) -> bool:
    """Remove a user that `make` has made; False when it is none of ours. AgentError."""
    if not is_ours(name):
        return False
    _run("userdel", name)
    return True


def is_ours(name: str, database: Path = Path("/etc/passwd")) -> bool:
    """Whether `make` has made this user (passwd(5))."""
    try:
        lines = database.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    entries = (line.split(":") for line in lines)
    return any(entry[0] == name and entry[4:5] == [_COMMENT] for entry in entries)


def own(folder: Path, user: str) -> bool:
    """Have a folder, closed to others, that is the account's with all in it, as systemd has it at
    the start; whether it was made. OSError."""
    who = account(user)
    made = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != who.uid:
        chown_tree(str(folder), who.uid, who.gid)
    return made


def give(file: Path, user: str) -> None:
    """Have a file be the account's. OSError."""
    who = account(user)
    if hasattr(os, "chown"):
        os.chown(file, who.uid, who.gid, follow_symlinks=False)


def check_program(program: str, user: str, profile: str, state_dir: Path) -> None:
    """Have the account run the program, with the state directory, which is its own. AgentError
    says what keeps it from that."""
    if not program.isprintable():
        raise AgentError(f"no service starts a program at {program!r}: give it a path without that")
    python = () if getattr(sys, "frozen", False) else (sys.prefix, sys.base_prefix)
    for path in dict.fromkeys(map(os.path.realpath, (program, *python))):
        for folder in _HIDDEN.get(profile, ()):
            if path.startswith(folder):
                raise AgentError(
                    f"the program lies in {path}, and the profile {profile} hides {folder} from "
                    "services: install it below /opt or /usr/local, or choose --profile open"
                )
    who = account(user)
    try:
        # A binary unpacks itself below the state directory.
        env = {"PATH": os.defpath, "REMOTE_AGENT_STATE_DIR": str(state_dir)}
        done = call([program, "--version"], _TIMEOUT, None if who.uid == own_uid() else who, env)
    except subprocess.TimeoutExpired:
        raise AgentError(f"{program} --version did not end within {_TIMEOUT:g} s") from None
    except OSError as error:
        why = error.strerror or str(error)
    else:
        if not done.returncode:
            return
        why = last_line(done) or "it failed"
    raise AgentError(
        f"user {user} cannot run {program} ({why}): install it where all users may read it, below "
        "/opt or /usr/local, or name another account with --user"
    )


def _run(*command: str) -> None:
    try:
        done = call(command, _TIMEOUT)
    except subprocess.TimeoutExpired:
        raise AgentError(f"{command[0]} did not end within {_TIMEOUT:g} s") from None
    except OSError as error:
        raise AgentError(f"{command[0]}: {error.strerror}; make the account yourself") from None
    if done.returncode:
        raise AgentError(f"{command[0]} failed: {done.stderr.strip()}")
