"""The state directory: the agent's own, and closed to others. Touches its mode."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import structlog

from remote_agent.errors import ConfigError

log = structlog.get_logger("agent")

_CLOSED = 0o700
_PASSABLE = 0o711


def secure(state_dir: Path, passable: bool = False) -> None:
    """Keep others out of a state directory that exists; nothing for one that does not.

    `passable`: they may pass it, to what is theirs, and see nothing. ConfigError when it belongs
    to somebody else, or when others have put something into it.
    """
    try:
        found = os.stat(state_dir)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(
            f"{state_dir} cannot be used ({error.strerror}); see --state-dir"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{state_dir} is no directory; name another one with --state-dir")
    if not hasattr(os, "geteuid"):
        return
    user = os.geteuid()
    if found.st_uid != user:
        raise ConfigError(
            f"{state_dir} belongs to user {found.st_uid}, and this is user {user}: run as "
            f"that user, or give it away (chown), or name another one with --state-dir"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022:
        _suspect(state_dir, user)
    wanted = _PASSABLE if passable else _CLOSED
    if mode == wanted:
        return
    try:
        os.chmod(state_dir, wanted)
    except OSError as error:
        raise ConfigError(f"{state_dir} cannot be closed to others: {error.strerror}") from None
    if mode & 0o066:
        log.warning(
            "the state directory was open to others; it is not any more",
            path=str(state_dir),
            mode=f"{mode:04o}",
            now=f"{wanted:04o}",
        )


def _suspect(state_dir: Path, user: int) -> None:
    """Others could write here: what they have put here must not be taken for the agent's."""
    for name in os.listdir(state_dir):
        owner = os.stat(state_dir / name, follow_symlinks=False).st_uid
        if owner != user:
            raise ConfigError(
                f"{state_dir} was writable for others, and {name} in it belongs to user {owner}; "
                "look at it and remove it, or name another directory with --state-dir"
            )
