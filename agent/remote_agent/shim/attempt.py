"""One attempt from its start to its exit record: the loop of a shim. Disk and processes only.

It waits for the end of the job, not for the end of its output: a daemon that inherited the pipe
delays nobody. While the spool has no room the pipes are simply not read, so the job waits; limits
and control messages work on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from remote_agent.processes import WHOLE_TREES, ExitStatus, Folder, Poller, SpawnFailed
from remote_agent.shim.artifacts import WARNING as ARTIFACTS_WARNING
from remote_agent.shim.artifacts import list_artifacts
from remote_agent.shim.channel import START_WAIT, Channel
from remote_agent.shim.completion import Completion
from remote_agent.shim.contact import Absence
from remote_agent.shim.control import Control
from remote_agent.shim.control_socket import ControlSocket
from remote_agent.shim.ending import (
    CANCELLED,
    EXIT,
    SIGNAL,
    SPAWN_ERROR,
    Ending,
    EndResult,
    Timeline,
)
from remote_agent.shim.filters import Filters, make_filters
from remote_agent.shim.held_inputs import InputHolder
from remote_agent.shim.layout import CONTACT
from remote_agent.shim.limits import Limits, first
from remote_agent.shim.order import Order
from remote_agent.shim.output import Output
from remote_agent.shim.outputs import read_outputs
from remote_agent.shim.reader import OutputReader
from remote_agent.shim.record import write_started
from remote_agent.shim.record_text import (
    NO_USAGE,
    ExitRecord,
    start_record,
    steps_text,
    usage_text,
)
from remote_agent.shim.secret_files import SecretFiles
from remote_agent.shim.streams import Streams
from remote_agent.shim.termination import Termination
from remote_agent.shim.workload import make_workload
from remote_protocol.cri import STDERR, STDOUT

_NOTHING: Final[Mapping[str, Any]] = {}


class ShimProcess(NamedTuple):
    """Facts about the process that runs the loop."""

    boot_id: str
    fields: str
    """What start records say of it (`record_text.shim_fields`)."""
    holder: InputHolder | None
    """The launcher, which kills what a dead shim leaves, as holder of inputs; None without one."""
    socket: ControlSocket
    """By which the agent tells it things."""


class AttemptRunner:
    """Runs one attempt once. `directory` is its directory: open, locked and entered; `files` are
    its secrets that are files until its end, if it has any; it is marked as begun before `run`.
    OrderError when its order wants what this shim lacks."""

    def __init__(
        self,
        directory: Folder,
        order: Order,
        shim: ShimProcess,
        secrets: Mapping[str, str],
        files: SecretFiles | None,
    ) -> None:
        self._directory = directory
        self._order = order
        self._shim = shim
        self._files = files
        self._filters = make_filters(order, secrets)
        self._workload = make_workload(order, guarded=shim.holder is not None)
        self._timeline = Timeline()
        self._ending = Ending(order)
        self._termination = Termination(self._ending, self._timeline, self._workload)
        absence = None
        if order.stop_after is not None:
            absence = Absence(directory.here(CONTACT), order.stop_after, shim.boot_id)
        self._limits = Limits(
            order, self._workload, absence, self._ending, self._termination, self._timeline
        )
        self._output = Output(directory, order, self._filters)
        self._channel = Channel(directory, order.key, order.agent_socket, shim.socket)
        self._completion = Completion(directory, self._output, self._channel)
        self._poller = Poller()
        self._streams = Streams(directory, order, self._poller, shim.holder)
        self._reader = OutputReader(self._poller, self._streams, self._output, self._timeline)
        self._started = self._started_at = 0.0
        self._notify_at: float | None = None
        self._noted = False
        """Whether the start record has been written."""
        self.detached = False
        """Whether processes of the job were left alive, as its order says."""

    def run(self, env: Mapping[str, str]) -> None:
        """Start the job with this environment, wait for its end, write its exit record.

        OSError only for what nobody foresaw.
        """
        if self._workload.note:
            self._timeline.add(time.time(), "limits", self._workload.note)
        try:
            self._start(env)
        except SpawnFailed as failure:
            result = EndResult(failure.exit_code, SPAWN_ERROR, str(failure))
            self._write_exit(result, NO_USAGE)
            return
        if self._shim.holder is None:
            # Nobody but an agent, which has to know it, could end the job of a shim that dies.
            self._note_start()
        self._notify_at = self._channel.started(self._workload.pid, self._started_at, self._started)
        status = self._loop()
        self._streams.close_input()
        duration = time.monotonic() - self._started
        if self._order.keep_processes and self._ending.reason is None:
            self.detached = True
            self._workload.detach()
        else:
            self._termination.sweep()
        self._reader.drain(self._completion)
        result = self._ending.result(status, self._workload.killed_for_memory())
        if result.end_reason == EXIT and result.exit_code and (why := self._never_begun()):
            result = EndResult(result.exit_code, SPAWN_ERROR, why)
        given = read_outputs(self._directory, self._order, self._filters)
        given |= self._list_artifacts()
        if self._filters is not None:
            result = self._judge(result, self._filters)
        counts = self._output.counts
        usage = usage_text(self._workload.usage(), counts[STDOUT], counts[STDERR], duration)
        self._write_exit(result, usage, given)

    def _never_begun(self) -> str:
        """Why the job could not begin, as its output would be kept."""
        why = self._workload.never_begun()
        if not why or self._filters is None:
            return why
        kept = self._filters.whole(why.encode())
        return kept.decode(errors="replace")

    @property
    def given_secrets(self) -> bool:
        """Whether its filters were given something secret."""
        return self._filters is not None and self._filters.given

    def abandon(self) -> None:
        """Leave nothing of the job alive, after an error that nobody foresaw."""
        if self._workload.pid:
            with suppress(Exception):
                self._workload.kill()
                self._workload.sweep()

    def close(self) -> None:
        """Give everything back; the attempt's directory stays open, it is the caller's."""
        self._streams.close()
        self._output.close()
        self._workload.close()
        self._channel.close()
        if self._filters is not None:
            self._filters.close()

    # Start --------------------------------------------------------------------------------------

    def _start(self, env: Mapping[str, str]) -> None:
        if self._filters is not None:
            self._filters.open()
            self._note(self._filters)
        pipes = self._streams.open()
        try:
            self._started, self._started_at = time.monotonic(), time.time()
            self._workload.start(pipes, env)
        finally:
            self._streams.release()
        self._timeline.add(self._started_at, "spawned", f"process {self._workload.pid}")
        self._limits.start(self._started)

    def _note_start(self) -> None:
        """Write the start record, before an agent is told of the start alone. Of a start that goes
        with the end the exit record says enough, and should the shim die before, its launcher ends
        the job."""
        self._noted = True
        identity = self._workload.identity()
        record = start_record(self._channel.key, identity, self._shim.fields, self._started_at)
        with suppress(OSError):  # a full disk: the lock tells that it runs
            write_started(self._directory, record)

    # The loop -----------------------------------------------------------------------------------

    def _loop(self) -> ExitStatus:
        """Copy output and enforce limits until the job has ended; how."""
        exited, channel = self._workload.waitable(), self._channel.waitable()
        outputs = self._streams.outputs
        filters = self._filters
        said = None if filters is None else filters.source
        watched = [source for source in (exited, channel, said) if source is not None]
        for source in watched:
            self._poller.add(source)
        self._reader.update(self._started)
        while True:
            ended = told = False
            due = self._limits.next_check()
            for source in self._poller.wait(self._timeout(due)):
                if source in outputs:
                    self._reader.read(source)
                elif source == exited:
                    ended = True
                elif source == channel:
                    control = Control(self._reader, self._termination, self._completion)
                    for message in self._channel.receive():
                        told |= control.handle(message)
                elif filters is not None and source == said:
                    filters.attend()
                else:
                    told = True  # the job's input has room
            if ended:
                status = self._workload.reap()
                watched.remove(exited)
                self._poller.drop(exited)
                if status is not None:
                    for source in watched if outputs else ():
                        self._poller.drop(source)
                    return status
                exited = self._workload.waitable()
                watched.append(exited)
                self._poller.add(exited)
            if filters is not None and self._heed(filters) and said in watched:
                watched.remove(said)
                self._poller.drop(said)
            now = time.monotonic()
            if not self._reader.update(now) and self._directory.gone():
                self._termination.kill(CANCELLED, "the attempt's directory was removed")
            if not self._noted and (self._output.size or now >= self._started + START_WAIT):
                self._note_start()
            self._notify_at = self._channel.grew(self._output.size, now)
            if fed := self._streams.feed_more(now, told):
                self._timeline.add(time.time(), "input_closed", fed)
                self._workload.input_closed()
            if due is not None and now >= due:
                self._limits.enforce(now)

    def _heed(self, filters: Filters) -> bool:
        """Note what the filters have to say, and end the job if they cannot go on; whether that is
        so."""
        self._note(filters)
        if filters.fault and not self._ending.killed:
            self._termination.kill(SIGNAL, filters.fault)
        return bool(filters.fault)

    def _note(self, filters: Filters) -> None:
        while filters.notes:
            self._timeline.add(time.time(), "masking", filters.notes.pop(0))

    def _timeout(self, due: float | None) -> float | None:
        """Milliseconds until something has to be done without being woken, a limit looked at when
        it is `due`; None: never."""
        feed = self._streams.feed
        fed = None if feed is None else feed.check_at
        earliest = first(due, self._reader.check_at, self._notify_at, fed)
        if earliest is None:
            return None
        return max(0, math.ceil((earliest - time.monotonic()) * 1000))

    def _judge(self, result: EndResult, filters: Filters) -> EndResult:
        """The end, with why the last of the output is not in the log."""
        self._note(filters)
        if not filters.fault or filters.fault in result.end_detail:
            return result
        return result._replace(end_detail=f"{result.end_detail}; {filters.fault}")

    # The record ---------------------------------------------------------------------------------

    def _list_artifacts(self) -> dict[str, Any]:
        try:
            return list_artifacts(self._directory, self._order, self._filters)
        except OSError as error:
            why = error.strerror or type(error).__name__
            return {ARTIFACTS_WARNING: f"the artifacts cannot be sent: {why}"}

    def _write_exit(
        self, result: EndResult, usage: str, given: Mapping[str, Any] = _NOTHING
    ) -> None:
        if loss := self._completion.loss:
            result = result._replace(end_detail=result.end_detail + loss)
        record = ExitRecord(
            key=self._channel.key,
            result=result,
            size=self._output.size,
            checksum=self._output.checksum,
            usage=usage,
            started_at=self._started_at if self._workload.pid else None,
            ended_at=time.time(),
            steps=steps_text([*self._timeline.entries, *self._workload.steps]),
            given=given,
            clean=WHOLE_TREES and not (self.detached or self._termination.survivors),
        )
        if self._files is not None:
            # Whoever hears of its end finds nothing of them.
            self._files.remove()
        self._completion.write_exit(record, self._order.sync)
