"""The workload of jobs that are processes of this host. Processes, /sys/fs/cgroup.

It waits for the job's main process; whatever that one has forked is found and killed with it,
by its cgroup where it has one, else by its process group and as descendants of the shim.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from remote_agent.processes import (
    NOTHING_SWEPT,
    NOTHING_USED,
    READ,
    ExitStatus,
    ExitWatch,
    SpawnFailed,
    Swept,
    Usage,
    clock_tick,
    exit_status,
    interrupt,
    kill_tree,
    leave_running,
    open_file,
    spawn,
    start_oom_victims,
    start_time_since,
    sweep,
    watch_exit,
)
from remote_agent.shim.ending import Step
from remote_agent.shim.json_text import encode
from remote_agent.shim.layout import KEEP_MARK, NEVER_BEGUN
from remote_agent.shim.order import Order
from remote_agent.shim.workload.base import JobPipes
from remote_agent.shim.workload.confinement import Confinement

_LONGEST: Final = 1500
"""Bytes of a reason."""


class ProcessWorkload:
    """A `Workload`: one job as a process with all that it forks."""

    def __init__(self, order: Order, guarded: bool) -> None:
        self._order = order
        self._confinement = Confinement(order, guarded)
        self._watch: ExitWatch | None = None
        self._used = NOTHING_USED
        self._swept = NOTHING_SWEPT
        self._detached = False
        self.note = self._confinement.note
        self.steps: Sequence[Step] = ()
        self.pid = 0
        self._tick = 0
        """When it was started, at the earliest."""

    @property
    def peak(self) -> int:
        """The most memory that was seen, in bytes."""
        return self._confinement.peak

    @property
    def check_at(self) -> float | None:
        """When memory wants to be looked at."""
        return self._confinement.check_at

    def start(self, pipes: JobPipes, env: Mapping[str, str]) -> None:
        """Spawn it in a process group of its own, within its limits."""
        order = self._order
        if order.keep_processes:
            env = {**env, KEEP_MARK: "1"}
        if order.uid is not None:
            self._confinement.give_streams(end for end in pipes[:3] if end is not None)
        self._tick = clock_tick()
        start_oom_victims(True)
        try:
            self.pid = spawn(
                order.argv,
                env,
                order.cwd,
                (pipes.stdout, pipes.stderr),
                self._confinement.before_exec(),
                order.stop_signal,
                pipes.stdin,
                order.umask,
            )
        except SpawnFailed as failure:
            # What the child could not do before it became the job is known to it alone.
            if why := self._confinement.fault():
                raise SpawnFailed(why, failure.exit_code) from failure
            raise
        finally:
            start_oom_victims(False)
        self._watch = watch_exit(self.pid)

    def identity(self) -> str:
        """Its process, its process group, its cgroup."""
        pid, since = self.pid, encode(start_time_since(self.pid, self._tick))
        cgroup = encode(self._confinement.folder)
        return f'"pid":{pid},"start_time":{since},"pgid":{pid},"cgroup":{cgroup}'

    def _started(self) -> ExitWatch:
        assert self._watch is not None, "it was not started"
        return self._watch

    def waitable(self) -> int:
        """Ready when the main process may have exited."""
        return self._started().waitable()

    def reap(self) -> ExitStatus | None:
        """How the main process has ended."""
        ended = self._started().reap()
        if ended is None:
            return None
        status, self._used = ended
        return exit_status(status)

    def input_closed(self) -> None:
        """Nothing: the job has noticed."""

    def interrupt(self, signal: str) -> str:
        """The polite signal, to the process group."""
        return interrupt(self.pid, signal)

    def kill(self) -> None:
        """Kill the cgroup, or the whole tree where there is none."""
        if not self._confinement.kill():
            kill_tree(self.pid)

    def over_memory(self, now: float) -> bool:
        """Whether the whole tree takes more memory than it may. Costs a walk through /proc."""
        return self._confinement.exceeded(now)

    def sweep(self) -> Swept:
        """Kill what the main process left, and what is left of a user who was only this job."""
        self._confinement.kill()
        swept = self._swept = sweep(self.pid)
        if more := self._confinement.end_user():
            swept = swept._replace(killed=swept.killed + more)
        return swept

    def detach(self) -> None:
        """Leave alive what runs in the background."""
        self._detached = True
        leave_running(self.pid)

    def killed_for_memory(self) -> bool:
        """Whether the kernel has killed some of it for the cgroup's limit."""
        return self._confinement.oom_kills() > 0 and self._order.memory_limit is not None

    def never_begun(self) -> str:
        """What its first process has written about that, where the order names a file for it. The
        job may have written it: then it speaks of nobody but itself."""
        path = self._order.options.get(NEVER_BEGUN)
        if not isinstance(path, str):
            return ""
        try:
            file = open_file(path, READ)
        except OSError:
            return ""
        try:
            text = os.read(file, _LONGEST).decode(errors="replace")
        except OSError:  # a directory
            return ""
        finally:
            os.close(file)
        return "".join(one if one.isprintable() else " " for one in text)

    def usage(self) -> Usage:
        """CPU seconds of the main process and of what was swept, the largest memory of any."""
        used, swept, peak = self._used, self._swept, self._confinement.peak
        if swept is NOTHING_SWEPT and peak <= used.max_rss:
            return used
        return Usage(
            used.cpu_user + swept.cpu_user,
            used.cpu_system + swept.cpu_system,
            max(used.max_rss, peak),
        )

    def close(self) -> None:
        """Close the watch, remove the cgroup unless processes were left in it."""
        if self._watch is not None:
            self._watch.close()
        if not self._detached:
            self._confinement.close()
