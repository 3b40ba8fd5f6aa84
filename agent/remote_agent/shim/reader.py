"""Reads a job's output: from its pipes into the spool while there is room, else not at all.

A job whose output has no room waits in its own write: nothing is dropped and memory stays bounded.
Touches the pipes and the spool of one attempt.
"""

from __future__ import annotations

import time
from typing import Final

from remote_agent.processes import Poller
from remote_agent.shim.completion import Completion
from remote_agent.shim.ending import Timeline
from remote_agent.shim.output import PIECE, RETRY, Output
from remote_agent.shim.streams import Streams

READ: Final = PIECE
_DRAIN: Final = 2.0
"""Seconds for which pipes are read after the job's end while somebody still writes."""


class OutputReader:
    """Moves the output of one attempt."""

    def __init__(
        self, poller: Poller, streams: Streams, output: Output, timeline: Timeline
    ) -> None:
        self._poller = poller
        self._streams = streams
        self._output = output
        self._timeline = timeline
        self._reading = False
        self._held_until = 0.0
        self.check_at: float | None = None
        """When to look again whether there is room, in monotonic seconds; None while there is."""

    def read(self, pipe: int) -> None:
        """Move what a pipe holds into the spool."""
        data = self._poller.read(pipe, READ)
        if not data:
            self._streams.end(pipe)
            return
        if not any(self._output.counts.values()):
            self._timeline.add(time.time(), "first_output")
        self._output.take(data, self._streams.outputs[pipe])

    def hold(self, until: float) -> None:
        """Do not read before this moment; 0 to go on."""
        self._held_until, self.check_at = until, None

    def update(self, now: float) -> bool:
        """Read the pipes while the spool has room, else look again soon. Whether there is room."""
        if self.check_at is not None and now < self.check_at:
            return True
        held = now < self._held_until
        ready = not held and self._output.ready()
        self.check_at = None if ready else now + RETRY
        if ready != self._reading:
            self._reading = ready
            if not ready:
                why = "the agent asks it to wait" if held else self._output.waiting
                self._timeline.add(time.time(), "output_waits", why)
            for pipe in self._streams.outputs:
                if ready:
                    self._poller.add(pipe)
                else:
                    self._poller.drop(pipe)
        return ready

    def drain(self, completion: Completion) -> None:
        """Read what is left in the pipes after the job's end, at most two seconds long if somebody
        still writes."""
        completion.write_pending()
        for pipe in () if self._reading else self._streams.outputs:
            self._poller.add(pipe)
        deadline = time.monotonic() + _DRAIN
        while self._streams.outputs and time.monotonic() < deadline:
            ready = self._poller.wait(0)
            if not ready:
                break
            for pipe in ready:
                before = time.monotonic()
                self.read(pipe)
                completion.write_pending()
                if self._output.waiting:
                    deadline += time.monotonic() - before
        self._output.end()
        completion.write_pending()
