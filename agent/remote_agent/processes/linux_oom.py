"""Whom Linux kills first when memory runs out: jobs before their shims, shims before the agent
(oom_score_adj of proc_pid_oom_score_adj(5))."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

_JOB_SCORE: Final = 500
_OWN_SCORE: Final = -500
_OWN: Final = "/proc/self/oom_score_adj"


def prefer_as_oom_victim(pid: int) -> None:
    """Have the kernel kill this process before the agent and its shims when memory runs out."""
    _set_oom_score(pid, _JOB_SCORE)


def start_oom_victims(yes: bool) -> None:
    """Have what this process starts from now on be preferred so, or no more. Meanwhile it is
    preferred itself: it must say no again at once. The first call opens the file: it must come
    before `forbid_inspection`, after which that is root's.
    """
    own = _own_oom_score()
    if own is not None:
        try:  # noqa: SIM105 - suppress() takes longer than the call, for each job
            os.write(own[0], b"%d" % _JOB_SCORE if yes else own[1])
        except OSError:
            pass


@cache
def _own_oom_score() -> tuple[int, bytes] | None:
    """The file of this process's score, and what it said at first; None where that cannot be
    changed, or is high. It stays open: to open one in /proc takes ten times as long as to write."""
    try:
        descriptor = os.open(_OWN, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    usual = os.read(descriptor, 16)
    if int(usual) < _JOB_SCORE:
        return descriptor, usual
    os.close(descriptor)
    return None


def protect_from_oom() -> None:
    """Have the kernel spare this process, and what it starts, when memory runs out.

    Nothing where that is not allowed (CAP_SYS_RESOURCE), or where more is set already.
    """
    with suppress(OSError, ValueError):
        if int(Path(_OWN).read_text()) > _OWN_SCORE:
            _set_oom_score(os.getpid(), _OWN_SCORE)


def _set_oom_score(pid: int, score: int) -> None:
    try:
        descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"%d" % score)
        finally:
            os.close(descriptor)
    except OSError:
        pass
