"""Other users of the host (POSIX): who they are, becoming one, and ending what is left of one.

What it takes is root, or on Linux capabilities (capabilities(7)) that shims inherit.
"""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.processes.prctl import prctl
from remote_agent.processes.types import Account

_NEEDED: Final = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
}
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_SHELL: Final = "/bin/sh"


def account(name: str) -> Account:
    """The user of this name or number. KeyError when there is none."""
    entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    # macOS lists more than a process may have.
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)[: os.sysconf("SC_NGROUPS_MAX")])
    shell = entry.pw_shell or _SHELL
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, shell)


def unnamed_account(uid: int) -> Account:
    """A user that stands in no database, with a group of the same number."""
    return Account(f"job-{uid}", uid, uid, (uid,), "", _SHELL)


def accounts_between(first: int, last: int) -> list[str]:
    """Names of the users and groups whose numbers are in a range: no job may become one of them."""
    found = [entry.pw_name for entry in pwd.getpwall() if first <= entry.pw_uid <= last]
    return found + [entry.gr_name for entry in grp.getgrall() if first <= entry.gr_gid <= last]


def missing_privileges() -> list[str]:
    """What this process lacks to give its jobs to other users; empty for nothing."""
    root = not os.geteuid()
    if sys.platform != "linux":
        return [] if root else ["root"]
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file if ":" in line)
    # Only root and ambient capabilities pass to what is started: shims are the agent's user.
    held = int(status["CapEff" if root else "CapAmb"], 16)
    return [name for name, bit in _NEEDED.items() if not held >> bit & 1]


def switch_user(uid: int, gid: int, groups: list[int], alone: bool) -> None:
    """Be another user for good, without any power of this one; for use between fork and exec.

    `alone`: no program that is started from here gains privileges (no_new_privs, prctl(2)), so
    sudo(8) does not work. OSError.
    """
    if sys.platform == "linux":
        prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        if alone:
            prctl(_PR_SET_NO_NEW_PRIVS, 1)
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)
    if sys.platform == "linux":
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def can_enter(path: str, user: Account) -> bool:
    """Whether a user can reach what lies in this folder. Forks, so for one thread only."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] == 0
    try:
        switch_user(user.uid, user.gid, list(user.groups), alone=True)
        os.chdir(path)
        os._exit(0)
    finally:
        os._exit(1)


def chown_tree(path: str, uid: int, gid: int) -> None:
    """Make a folder with all in it somebody else's. Nobody but us may reach it yet. OSError."""
    for _, _, files, folder in os.fwalk(path):
        for name in files:
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        os.chown(folder, uid, gid)


def users_of(pid: int) -> set[int]:
    """The numbers of a process's users: real, effective, saved, of the file system (proc(5))."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        for line in text.splitlines():
            if line.startswith("Uid:"):
                return set(map(int, line.split()[1:]))
    return set()


def pids() -> Iterator[int]:
    """All processes that can be seen, where there is /proc."""
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                yield int(name)


def living_users() -> set[int]:
    """The numbers of all users that have processes."""
    found: set[int] = set()
    for pid in pids():
        found |= users_of(pid)
    return found
