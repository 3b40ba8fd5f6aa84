"""The workload of jobs that a warm interpreter forks: a Python that has imported their modules.

What the shim asks for is in the interpreter's program, `planning/keeper.py`. As long as the
job has not been told to go, nothing of it has run: until then every fault is a reason to start it
as any other process, by the command of the order. Processes, one socket.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from remote_agent.processes import (
    NOTHING_SWEPT,
    NOTHING_USED,
    ExitStatus,
    SpawnFailed,
    Swept,
    Usage,
    exit_status,
    memory_file,
    prefer_as_oom_victim,
)
from remote_agent.processes.forked import (
    FORKS_JOBS,
    ask_for_job,
    forced_status,
    kill_forked,
    slow_down,
    sweep_forked,
    usage_in,
)
from remote_agent.shim.ending import Step
from remote_agent.shim.json_text import quote
from remote_agent.shim.layout import ENTER, SOCKET, WORDS
from remote_agent.shim.order import Order
from remote_agent.shim.workload.base import JobPipes
from remote_agent.shim.workload.process import ProcessWorkload

_ANSWERS_WITHIN: Final = 5.0
"""Seconds within which an interpreter has forked a job; it takes milliseconds."""
_ACCOUNTS_WITHIN: Final = 2.0
_LARGEST: Final = 8192
_NOT_STARTED: Final = 126


class _NotForked(Exception):
    """The job cannot be forked, and nothing of it has run; the text is a reason."""


class ForkedWorkload(ProcessWorkload):
    """A job as a process that was forked; or started, where it cannot be."""

    def __init__(self, order: Order, guarded: bool) -> None:
        super().__init__(order, guarded)
        self._forks = guarded and FORKS_JOBS
        self._keeper: socket.socket | None = None
        """The link to the job's parent; None: this shim is that itself."""
        self._keeper_pid = 0
        self._mark = ""

    def start(self, pipes: JobPipes, env: Mapping[str, str]) -> None:
        """Have it forked; if that cannot be, start it."""
        reason = "this host forks no jobs"
        if self._forks:
            try:
                self._fork(pipes, env)
            except _NotForked as failure:
                reason = str(failure)
            else:
                self._tell(f"forked from a warm interpreter, keeper {self._keeper_pid}")
                return
        self._tell(f"not forked from a warm interpreter: {reason}")
        super().start(pipes, env)

    def _tell(self, detail: str) -> None:
        self.steps = (Step(time.time(), "interpreter", detail),)

    def _fork(self, pipes: JobPipes, env: Mapping[str, str]) -> None:
        order, empty = self._order, os.open(os.devnull, os.O_RDONLY)
        self._confinement.give_streams(end for end in pipes[:3] if end is not None)
        body = {
            "words": order.options[WORDS],
            "env": dict(env),
            "cwd": order.cwd,
            "umask": order.umask,
            "enter": bool(order.options.get(ENTER)),
        }
        request = memory_file(json.dumps(body).encode())
        files = [request, empty if pipes.stdin is None else pipes.stdin, *pipes[1:3]]
        if pipes.input is not None:
            files.append(pipes.input)
        peer = None
        try:
            peer = ask_for_job(str(order.options[SOCKET]), files, _ANSWERS_WITHIN)
            said = json.loads(peer.recv(_LARGEST) or b"{}")
            self._admit(said)
            peer.send(b"go")
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.pid = 0
            if peer is not None:
                peer.close()
            raise _NotForked(getattr(error, "strerror", None) or str(error)) from None
        except SpawnFailed:
            assert peer is not None
            peer.close()
            raise
        finally:
            os.close(request)
            os.close(empty)
        peer.settimeout(None)
        self._keeper = peer

    def _admit(self, said: Mapping[str, Any]) -> None:
        """Put the job, which waits, within its limits."""
        if "failed" in said:
            raise SpawnFailed(str(said["failed"]), _NOT_STARTED)
        if not said:
            raise _NotForked("no interpreter took it")
        self.pid, self._keeper_pid = int(said["pid"]), int(said["keeper"])
        self._mark = str(said["mark"])
        self._confinement.take(self.pid, self._keeper_pid)
        if self._order.nice:
            slow_down(self.pid, self._order.nice)
        prefer_as_oom_victim(self.pid)

    def input_closed(self) -> None:
        """Nobody will write to the job's input any more: the keeper lets go of it."""
        self._say(b"input")

    def _say(self, word: bytes) -> None:
        if self._keeper is not None:
            with suppress(OSError):  # it has died; reap tells
                self._keeper.send(word)

    def identity(self) -> str:
        """The same, and whose fork it is."""
        more = "" if self._keeper is None else f',"mark":{quote(self._mark)}'
        return super().identity() + more

    def waitable(self) -> int:
        """Ready when the keeper says something."""
        return super().waitable() if self._keeper is None else self._keeper.fileno()

    def reap(self) -> ExitStatus | None:
        """How the job has ended, as its parent says; killed when that has died."""
        if self._keeper is None:
            return super().reap()
        try:
            said = json.loads(self._keeper.recv(_LARGEST))
            return exit_status(int(said["status"]))
        except (OSError, ValueError, KeyError, TypeError):
            # The kernel has killed the job with its keeper, the interpreter kills the rest.
            self._keeper_pid = 0
            return exit_status(forced_status())

    def kill(self) -> None:
        """Kill the cgroup, or everything below the keeper."""
        if self._keeper is None:
            super().kill()
        elif self._keeper_pid and not self._confinement.kill():
            kill_forked(self.pid, self._keeper_pid)

    def sweep(self) -> Swept:
        """Kill what the job has left, and take what all of it has used."""
        if self._keeper is None:
            return super().sweep()
        self._confinement.kill()
        if not self._keeper_pid:
            return NOTHING_SWEPT
        swept = sweep_forked(self._keeper_pid)
        self._used = self._account()
        return swept

    def _account(self) -> Usage:
        assert self._keeper is not None
        self._keeper.settimeout(_ACCOUNTS_WITHIN)
        try:
            self._keeper.send(b"done")
            return usage_in(json.loads(self._keeper.recv(_LARGEST)))
        except (OSError, ValueError, AttributeError):
            return NOTHING_USED

    def close(self) -> None:
        """Let go of the keeper, which ends what may be left."""
        if self._keeper is not None:
            self._keeper.close()
        super().close()
