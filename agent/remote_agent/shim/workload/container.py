"""The workload of jobs that run in a container, by the command line of docker or podman. Processes.

It makes the container (the engine fetches its image meanwhile), starts it with the job's pipes,
asks how it ended, and removes it. Each step is a client's process, which the attempt's loop waits
for: so a job can be ended at any of them. The container has a name that only this attempt has, so
no second one can be made for it, and whoever comes later finds it.
"""

from __future__ import annotations

import json
import os
import signal as signals
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Any, Final

from remote_agent.processes import (
    NOTHING_USED,
    ExitStatus,
    SpawnFailed,
    Swept,
    Usage,
    interrupt,
    kill_tree,
    start_time,
    sweep,
)
from remote_agent.shim.ending import Step
from remote_agent.shim.json_text import fields
from remote_agent.shim.order import Order, OrderError
from remote_agent.shim.secret_files import IN_CONTAINER
from remote_agent.shim.workload.base import JobPipes
from remote_agent.shim.workload.client import (
    Call,
    ContainerEnvironment,
    again,
    call_now,
    close_all,
)
from remote_agent.shim.workload.container_words import ENGINE_FAILED, not_made, not_started, told
from remote_agent.shim.workload.ownership import Ownership

_REMOVAL: Final = 30.0
"""Seconds for which the removal of a container is waited for; then it is the agent's to repeat."""
_SPAWN_ERROR: Final = "spawn_error"
_LOST: Final = "lost"
_MARKS: Final = ("REMOTE_JOB_ID", "REMOTE_ATTEMPT")
"""By these an agent finds the clients of a dead shim."""
_OPTIONS: Final = ("engine", "environ", "name", "pull", "create", "folders")
_NEVER: Final = "0001-01-01"
"""How an engine writes that a container has not been started."""


class _Phase(Enum):
    CREATE = auto()
    RUN = auto()
    INSPECT = auto()


class ContainerWorkload:
    """A `Workload`: one job in a container of its own."""

    def __init__(self, order: Order, guarded: bool) -> None:
        options = order.options
        for name in _OPTIONS:
            if name not in options:
                raise OrderError(f"the start order of a container lacks {name!r}")
        self._order = order
        self._engine = str(options["engine"])
        self._environ: dict[str, str] = dict(options["environ"])
        self._name = str(options["name"])
        self._image = order.argv[0]
        self._ownership = Ownership(order)
        self._phase = _Phase.CREATE
        self._call: Call | None = None
        self._signals: dict[str, Call] = {}
        """The clients that send it signals, by the signal."""
        self._ends: JobPipes | None = None
        self._ended: ExitStatus | None = None
        """How the client has ended that carried the job's output."""
        self._used = NOTHING_USED
        self._out_of_memory = self._stopping = False
        self.steps: list[Step] = []
        self.note = ""
        self.peak = 0
        self.check_at: float | None = None
        self.pid = 0

    # Start --------------------------------------------------------------------------------------

    def start(self, pipes: JobPipes, env: Mapping[str, str]) -> None:
        """Begin to make the container. It has the pipes when it is started, later."""
        order, given = self._order, ContainerEnvironment(env)
        self._environ |= {name: env[name] for name in _MARKS if name in env}
        self._ownership.prepare()
        command = [
            *(self._engine, "create", "--name", self._name, f"--pull={order.options['pull']}"),
            # Its own grace period is over when it is removed: podman would wait once more.
            *("--log-driver=none", "--stop-timeout=0", f"--workdir={order.cwd}", *given.words),
            *(("--interactive",) if pipes.stdin is not None else ()),
            *self._ownership.words,
            *order.options["create"],
            *_secrets(order),
            *order.argv,
        ]
        file = given.file()
        try:
            self._call = Call(command, self._environ | given.passed, stdin=file)
        finally:
            os.close(file)
        self.pid = self._call.pid
        stdin = None if pipes.stdin is None else os.dup(pipes.stdin)
        self._ends = JobPipes(stdin, os.dup(pipes.stdout), os.dup(pipes.stderr))

    def input_closed(self) -> None:
        """Nothing: the container's client has noticed."""

    def identity(self) -> str:
        """The client's process, and the container's name."""
        started = start_time(self.pid)
        return fields({"pid": self.pid, "start_time": started, "container": self._name})

    # Its steps ----------------------------------------------------------------------------------

    def waitable(self) -> int:
        """Ready when the client at work has ended."""
        return self._at_work().waitable()

    def _at_work(self) -> Call:
        assert self._call is not None, "it was not started"
        return self._call

    def reap(self) -> ExitStatus | None:
        """How the container has ended; None while there is a step to wait for."""
        call = self._at_work()
        status = call.reap()
        if status is None:
            return None
        said = call.said()
        self._used = _more(self._used, call.usage)
        call.close()
        try:
            return self._after(status, said)
        except SpawnFailed as failure:
            return ExitStatus(failure.exit_code, str(failure), False, _SPAWN_ERROR)

    def _after(self, status: ExitStatus, said: str) -> ExitStatus | None:
        match self._phase:
            case _Phase.CREATE:
                return self._created(status, said)
            case _Phase.RUN:
                self._ended = status
                self._next(_Phase.INSPECT, Call(again(self._inspection()), self._environ))
                return None
            case _Phase.INSPECT:
                return self._inspected(said)

    def _created(self, status: ExitStatus, said: str) -> ExitStatus | None:
        if self._stopping:
            self._close_ends()
            return ExitStatus(status.code, "its container had not been started", False)
        if status.code:
            self._close_ends()
            return ExitStatus(ENGINE_FAILED, not_made(said, self._image), False, _SPAWN_ERROR)
        self._step("container", f"{self._name} was made of the image {self._image}")
        ends = self._ends
        assert ends is not None
        stdin = () if ends.stdin is None else ("--interactive",)
        words = ("start", "--attach", *stdin, self._name)
        try:
            output = (ends.stdout, ends.stderr)
            self._next(_Phase.RUN, Call([self._engine, *words], self._environ, output, ends.stdin))
        finally:
            self._close_ends()
        return None

    def _inspection(self) -> list[str]:
        state = ("--format", "{{json .State}}")
        return [self._engine, "inspect", "--type", "container", *state, self._name]

    def _inspected(self, said: str) -> ExitStatus:
        state = _state(said)
        ended = self._ended
        assert ended is not None
        if state is None:
            return ExitStatus(
                ENGINE_FAILED,
                f"the container engine does not say how the container ended: {told(said)}",
                False,
                _LOST,
            )
        if state.get("Running"):
            self._signal_now("SIGKILL")
            return ExitStatus(
                ended.code,
                f"the engine's client that carried its output has ended ({ended.words}) while the "
                "container ran; the container was killed",
                False,
                _LOST,
            )
        self._out_of_memory = bool(state.get("OOMKilled"))
        if str(state.get("StartedAt", "")).startswith(_NEVER) or state.get("Status") == "created":
            if self._stopping:
                return ExitStatus(ended.code, "its container had not been started", False)
            code, words = not_started(str(state.get("Error") or ""), self._image)
            return ExitStatus(code, words, False, _SPAWN_ERROR)
        return _exit_of(state, self._stopping)

    def _next(self, phase: _Phase, call: Call) -> None:
        self._phase, self._call = phase, call

    def _step(self, what: str, detail: str) -> None:
        self.steps.append(Step(time.time(), what, detail))

    # Its end ------------------------------------------------------------------------------------

    def interrupt(self, signal: str) -> str:
        """The polite signal to the container, by the engine; before it runs, to the client."""
        self._stopping = True
        if self._phase is not _Phase.RUN:
            interrupt(self._at_work().pid, "SIGTERM")
            return "SIGTERM to the engine's client, for the container had not been started"
        self._signal_now(signal)
        return f"{signal} to the container"

    def kill(self) -> None:
        """Kill the container, or the client that makes it."""
        self._stopping = True
        if self._phase is _Phase.RUN:
            self._signal_now("SIGKILL")
        elif self._phase is _Phase.CREATE and self._call is not None:
            kill_tree(self._call.pid)

    def _signal_now(self, signal: str) -> None:
        """Have the engine send it, without waiting: it may be slow, and is asked again. A client
        that sends another one goes on: a slow engine, too, interrupts a job before its kill."""
        call = self._signals.get(signal)
        if call is not None:
            if call.reap() is None:
                return
            del self._signals[signal]
            call.close()
        command = [self._engine, "kill", f"--signal={signal}", self._name]
        # Again: it may have been made a moment ago and not run yet.
        with suppress(SpawnFailed):
            self._signals[signal] = Call(again(command), self._environ)

    def _end_signals(self) -> None:
        """End the clients that would send signals to a container that is gone."""
        for call in self._signals.values():
            if call.reap() is None:
                interrupt(call.pid, "SIGKILL")
            call.close()
        self._signals.clear()

    def over_memory(self, now: float) -> bool:
        """The engine's own limit does it."""
        return False

    def sweep(self) -> Swept:
        """Remove the container, and give what it has written in the job's directories to the
        agent."""
        self._close_ends()
        done, said = call_now(
            [self._engine, "rm", "--force", "--volumes", self._name], self._environ, _REMOVAL
        )
        self._end_signals()
        done = done or "no such container" in said.lower()
        if not done:
            self._step(
                "container",
                f"{self._name} could not be removed: {told(said)}; the agent tries again",
            )
        if fault := self._ownership.restore():
            self._step("container", fault)
        swept = sweep(0)
        return swept if done else swept._replace(survivors=swept.survivors + 1)

    def detach(self) -> None:
        """Nothing of a container outlives it."""

    def killed_for_memory(self) -> bool:
        """As the engine says."""
        return self._out_of_memory

    def never_begun(self) -> str:
        """What cannot begin fails before: its image is there, and it was made."""
        return ""

    def usage(self) -> Usage:
        """Of the engine's clients: what the container used, the engine tells nobody afterwards."""
        return self._used

    def close(self) -> None:
        """Close what is open."""
        self._close_ends()
        self._end_signals()
        if self._call is not None:
            self._call.close()
            self._call = None

    def _close_ends(self) -> None:
        if self._ends is not None:
            close_all(self._ends)
            self._ends = None


def _secrets(order: Order) -> tuple[str, ...]:
    """The words that show a container its secrets as files, read only."""
    folder = order.options.get("secrets")
    if not folder:
        return ()
    # A field of CSV (RFC 4180), in which a comma is a part of the path.
    source = '"source=' + str(folder).replace('"', '""') + '"'
    return ("--mount", f"type=bind,{source},target={IN_CONTAINER},readonly")


def _state(said: str) -> dict[str, Any] | None:
    """The last line that is JSON: those before are faults that were tried again."""
    for line in reversed(said.splitlines()):
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return None


def _exit_of(state: Mapping[str, Any], stopped: bool) -> ExitStatus:
    """An engine does not tell death by a signal from an exit with the code for it: where nobody
    has `stopped` the container, it is taken for an exit."""
    code, words = int(state.get("ExitCode") or 0), ""
    if code > 128:
        with suppress(ValueError):
            words = signals.Signals(code - 128).name
    if words and stopped:
        return ExitStatus(code, f"killed by {words}", True)
    return ExitStatus(
        code, f"exited with code {code}" + (f", as after {words}" if words else ""), False
    )


def _more(used: Usage, more: Usage) -> Usage:
    return Usage(
        used.cpu_user + more.cpu_user,
        used.cpu_system + more.cpu_system,
        max(used.max_rss, more.max_rss),
    )
