"""One attempt from its start to its exit record: the loop of a shim. Disk and processes only.

It waits for the job's process, not for the end of its output: a daemon that inherited the pipe
holds nobody up. While the spool has no room the pipes are simply not read, so the job waits;
limits and wishes work on.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import Any, Final, NamedTuple

from remote_agent.processes import (
    WHOLE_TREES,
    ExitWatch,
    Folder,
    Poller,
    SpawnFailed,
    Usage,
    leave_running,
    prefer_as_oom_victim,
    spawn,
    start_time,
    watch_exit,
)
from remote_agent.shim.channel import Channel
from remote_agent.shim.completion import Completion
from remote_agent.shim.confine import Confinement
from remote_agent.shim.contact import Absence
from remote_agent.shim.ending import (
    CANCELLED,
    LOST,
    MEMORY_LIMIT,
    SPAWN_ERROR,
    TIMEOUT,
    WISHED,
    Ending,
    Steps,
    Verdict,
    memory_words,
    timeout_words,
)
from remote_agent.shim.layout import CLEAN, CONTACT, KEEP_MARK
from remote_agent.shim.order import Order
from remote_agent.shim.output import RETRY, Output
from remote_agent.shim.record import write_started
from remote_agent.shim.streams import Streams
from remote_agent.shim.termination import Termination
from remote_protocol.cri import STDERR, STDOUT

READ: Final = 256 * 1024
_DRAIN: Final = 2.0
_HINT_AGAIN: Final = 0.005
_HOLD: Final = 60.0
_LONGEST: Final = 1e9
_LONGEST_TEXT: Final = 2_000


class Shim(NamedTuple):
    """Facts about the process that runs the loop. `guarded`: a launcher kills what it leaves."""

    boot_id: str
    pid: int
    start_time: str
    guarded: bool


class Attempt:
    """Runs one attempt once. `directory` is its directory: open, locked and entered; the attempt
    is marked as begun before `run`."""

    def __init__(self, directory: Folder, order: Order, shim: Shim) -> None:
        self._directory = directory
        self._order = order
        self._shim = shim
        self._output = Output(directory, order)
        self._steps = Steps()
        self._ending = Ending(order)
        self._confine = Confinement(order, shim.guarded)
        self._force = Termination(self._ending, self._steps, self._confine)
        self._absence = Absence(directory.here(CONTACT), order.stop_after, shim.boot_id)
        self._door = Channel(directory, order.key, order.hints)
        self._conclusion = Completion(directory, self._output, self._door)
        self._waiter = Poller()
        self._streams = Streams(directory, order, self._waiter)
        self._reading = False
        self._started = self._started_at = 0.0
        self._timeout_at: float | None = None
        self._look_at: float | None = None
        self._hint_at: float | None = None
        self._held_until = 0.0
        self.kept = False
        """Whether processes of the job were left alive, as it wished."""

    def run(self, marker: int) -> None:
        """Start the job, note its pid in the open `marker`, keep it, write its exit record.

        OSError only for what nobody foresaw.
        """
        if self._confine.note:
            self._steps.add(time.time(), "limits", self._confine.note)
        try:
            watch = self._spawn()
        except SpawnFailed as failure:
            why = self._confine.fault() or str(failure)
            verdict = Verdict(failure.exit_code, SPAWN_ERROR, why)
            self._conclude(verdict, {"duration": 0.0})
            return
        try:
            with suppress(OSError):  # a full disk: the lock tells that it runs
                self._write_started(marker)
            self._door.started(self._force.pid, self._started_at)
            status, usage = self._keep(watch)
        finally:
            watch.close()
        duration = time.monotonic() - self._started
        swept = self._sweep()
        self._drain()
        verdict = self._ending.verdict(status, self._confine.oom_kills())
        self._conclude(verdict, self._usage(usage, swept, duration))

    def close(self) -> None:
        """Give everything back; the attempt's directory stays open, it is the caller's."""
        self._streams.close()
        self._output.close()
        if not self.kept:
            self._confine.close()
        self._door.close()

    # Start --------------------------------------------------------------------------------------

    def _spawn(self) -> ExitWatch:
        stdin, out, err = self._streams.open()
        env = self._order.env
        if self._order.keep_processes:
            env = {**env, KEEP_MARK: "1"}
        self._confine.give_streams(end for end in (stdin, out, err) if end is not None)
        try:
            self._started, self._started_at = time.monotonic(), time.time()
            self._force.pid = spawn(
                self._order.argv,
                env,
                self._order.cwd,
                (out, err),
                self._confine.before_exec(),
                self._order.stop_signal,
                stdin,
                self._order.umask,
            )
        finally:
            self._streams.release()
        watch = watch_exit(self._force.pid)
        prefer_as_oom_victim(self._force.pid)
        self._steps.add(self._started_at, "spawned", f"process {self._force.pid}")
        if self._order.timeout is not None:
            self._timeout_at = self._started + self._order.timeout
        return watch

    def _write_started(self, marker: int) -> None:
        body = {
            "pid": self._force.pid,
            "start_time": start_time(self._force.pid),
            "shim_pid": self._shim.pid,
            "shim_start_time": self._shim.start_time,
            "pgid": self._force.pid,
            "boot_id": self._shim.boot_id,
            "cgroup": self._confine.folder,
            "at": self._started_at,
        }
        write_started(marker, body)

    # The loop -----------------------------------------------------------------------------------

    def _keep(self, watch: ExitWatch) -> tuple[int, Usage]:
        """Copy output and enforce limits until the job's main process has ended."""
        exited = watch.waitable()
        self._waiter.add(exited)
        self._waiter.add(self._door.waitable())
        self._admit(time.monotonic())
        while True:
            ended = False
            for source in self._waiter.wait(self._patience()):
                if source in self._streams.outputs:
                    self._read(source)
                elif source == exited:
                    ended = True
                elif (feed := self._streams.feed) is not None and source == feed.inlet:
                    feed.go_on(time.monotonic())
                else:
                    self._obey()
            if ended and (reaped := watch.reap()):
                self._waiter.drop(exited)
                return reaped
            now = time.monotonic()
            self._admit(now)
            self._hint(now)
            self._feed(now)
            self._enforce(now)

    def _patience(self) -> float | None:
        """Milliseconds until something has to be done without being woken."""
        moments = [
            moment
            for moment in (
                self._timeout_at,
                self._force.next_at,
                self._confine.look_at,
                self._absence.look_at,
                self._look_at,
                self._hint_at,
                None if self._streams.feed is None else self._streams.feed.look_at,
            )
            if moment is not None
        ]
        if not moments:
            return None
        return max(0, math.ceil((min(moments) - time.monotonic()) * 1000))

    def _read(self, pipe: int) -> bool:
        """Move what a pipe holds into the spool; False when it was at its end."""
        data = self._waiter.read(pipe, READ)
        if not data:
            self._streams.end(pipe)
            return False
        if not any(self._output.counts.values()):
            self._steps.add(time.time(), "first_output")
        self._output.take(data, self._streams.outputs[pipe])
        return True

    def _admit(self, now: float) -> None:
        """Read the pipes while the spool has room; else look again soon."""
        if self._look_at is not None and now < self._look_at:
            return
        held = now < self._held_until
        ready = not held and self._output.ready()
        self._look_at = None if ready else now + RETRY
        if not ready and self._directory.gone():
            self._force.kill(CANCELLED, "the attempt's directory was removed")
        if ready == self._reading:
            return
        self._reading = ready
        if not ready:
            why = "the agent asks it to wait" if held else self._output.waiting
            self._steps.add(time.time(), "output_waits", why)
        for pipe in self._streams.outputs:
            if ready:
                self._waiter.add(pipe)
            else:
                self._waiter.drop(pipe)

    def _hint(self, now: float) -> None:
        self._hint_at = None if self._door.grew(self._output.size) else now + _HINT_AGAIN

    def _feed(self, now: float, hinted: bool = False) -> None:
        feed = self._streams.feed
        if feed is None:
            return
        if hinted:
            feed.go_on(now)
        else:
            feed.tick(now)
        if feed.outcome:
            self._steps.add(time.time(), "input_closed", feed.outcome)
            self._streams.feed = None

    def _obey(self) -> None:
        for message in self._door.messages():
            with suppress(ValueError, TypeError, OverflowError):  # no message changes nothing
                self._follow(message)

    def _follow(self, message: dict[str, Any]) -> None:
        reason = message.get("reason")
        reason = reason if reason in WISHED else CANCELLED
        detail = str(message.get("detail") or "")[:_LONGEST_TEXT]
        match message.get("do"):
            case "stop":
                self._conclusion.wanted = True
                self._force.interrupt(reason, detail or "cancelled", message)
            case "kill":
                self._conclusion.wanted = True
                self._force.kill(reason, detail or "killed by the agent")
            case "hold":
                wanted = float(message.get("for") or _HOLD)
                self._held_until = time.monotonic() + (wanted if 0 < wanted < _LONGEST else _HOLD)
                self._look_at = None
            case "input":
                self._feed(time.monotonic(), hinted=True)
            case "go":
                self._held_until, self._look_at = 0.0, None

    def _enforce(self, now: float) -> None:
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            if self._ending.reason is None and self._order.timeout is not None:
                detail = timeout_words(self._order.timeout)
                self._steps.add(time.time(), TIMEOUT, detail)
                self._force.interrupt(TIMEOUT, detail, {})
        if self._confine.look_at is not None and now >= self._confine.look_at:
            if self._confine.exceeded(now) and self._order.memory_limit is not None:
                at, peak = now - self._started, self._confine.peak
                detail = memory_words(self._order.memory_limit, at, peak)
                self._steps.add(time.time(), MEMORY_LIMIT, detail)
                self._force.kill(MEMORY_LIMIT, detail)
        if (why := self._absence.unbearable(now)) is not None:
            self._force.interrupt(LOST, why, {})
        self._force.enforce(now)

    # The end ------------------------------------------------------------------------------------

    def _sweep(self) -> tuple[float, float]:
        """End what the job left behind, unless it wished to leave it; CPU seconds of that."""
        if self._order.keep_processes and self._ending.reason is None:
            self.kept = True
            leave_running(self._force.pid)
            return 0.0, 0.0
        return self._force.sweep()

    def _drain(self) -> None:
        """Read what lies in the pipes, at most two seconds long if somebody still writes."""
        self._conclusion.settle()
        self._waiter.drop(self._door.waitable())
        for pipe in () if self._reading else self._streams.outputs:
            self._waiter.add(pipe)
        deadline = time.monotonic() + _DRAIN
        while self._streams.outputs and time.monotonic() < deadline:
            ready = self._waiter.wait(0)
            if not ready:
                break
            for pipe in ready:
                before = time.monotonic()
                self._read(pipe)
                self._conclusion.settle()
                if self._output.waiting:
                    deadline += time.monotonic() - before
        self._output.end()
        self._conclusion.settle()

    # The record ---------------------------------------------------------------------------------

    def _usage(self, usage: Usage, swept: tuple[float, float], duration: float) -> dict[str, Any]:
        return {
            "cpu_user": round(usage.cpu_user + swept[0], 6),
            "cpu_system": round(usage.cpu_system + swept[1], 6),
            "max_rss": max(usage.max_rss, self._confine.peak),
            "stdout_bytes": self._output.counts[STDOUT],
            "stderr_bytes": self._output.counts[STDERR],
            "duration": round(duration, 6),
        }

    def _conclude(self, verdict: Verdict, usage: dict[str, Any]) -> None:
        body = {
            "exit_code": verdict.exit_code,
            "end_reason": verdict.end_reason,
            "end_detail": verdict.end_detail + self._conclusion.loss,
            "size": self._output.size,
            "checksum": self._output.checksum,
            "usage": usage,
            "started_at": self._started_at if self._force.pid else None,
            "ended_at": time.time(),
            "steps": self._steps.entries,
            CLEAN: WHOLE_TREES and not (self.kept or self._force.survivors),
        }
        self._conclusion.record(body, self._order.sync)
