"""Calls programs of the host, without a terminal and within a time."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from remote_agent.processes import Account
from remote_protocol.printable import printable

Done = subprocess.CompletedProcess[str]


def call(
    command: Sequence[str],
    timeout: float,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end, as another user if `account` says so. OSError, TimeoutExpired.

    It has a session of its own: who may write to root's terminal can type into root's shell there
    (TIOCSTI, ioctl_tty(2)), and a job of the account can take over what runs as the account.
    """
    return subprocess.run(
        command,
        user=account and account.uid,
        group=account and account.gid,
        extra_groups=account and account.groups,
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        start_new_session=True,
    )


def last_line(done: Done) -> str:
    """The last thing that a program has said, fit for a terminal; empty for nothing."""
    return one_line((done.stderr or done.stdout).strip().rpartition("\n")[2])


def one_line(text: object) -> str:
    """A text that neither steers a terminal nor looks like lines of ours: a job can speak in the
    name of the agent."""
    return printable(" ".join(str(text).split()))
