"""Other users of the host: not supported on Windows, where jobs run as the agent's user."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

from remote_agent.processes.types import Account


def account(name: str) -> Account:
    """KeyError: no job runs as another user."""
    raise KeyError(name)


def unnamed_account(uid: int) -> Account:
    """KeyError: there are no users by numbers."""
    raise KeyError(uid)


def accounts_between(first: int, last: int) -> list[str]:
    """Nobody."""
    return []


def missing_privileges() -> list[str]:
    """What this process lacks to give its jobs to other users."""
    return ["a system other than Windows"]


def switch_user(uid: int, gid: int, groups: list[int], alone: bool) -> None:
    """OSError: no process changes its user."""
    raise OSError(38, "no process changes its user on Windows")


def can_enter(path: str, user: Account) -> bool:
    """False: there is no other user."""
    return False


def chown_tree(path: str, uid: int, gid: int) -> None:
    """Nothing: there is no other user."""


def living_users() -> set[int]:
    """Nobody."""
    return set()


def kill_user(uid: int, limit: float = 5.0) -> int:
    """Nobody's processes are killed."""
    return 0
