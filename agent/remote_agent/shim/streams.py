"""The pipes of one job: where its output comes from, and where its input goes. Pipes only."""

from __future__ import annotations

from remote_agent.processes import Folder, Poller, close_end
from remote_agent.shim.feed import Feed
from remote_agent.shim.held_inputs import InputHolder
from remote_agent.shim.order import Order
from remote_agent.shim.workload.base import JobPipes
from remote_protocol.cri import STDERR, STDOUT


class Streams:
    """Makes a job's pipes as its order says. `holder` keeps the input open if this process dies."""

    def __init__(
        self, directory: Folder, order: Order, poller: Poller, holder: InputHolder | None = None
    ) -> None:
        self._directory = directory
        self._order = order
        self._poller = poller
        self._holder = holder
        self._ends: list[int] = []
        self.outputs: dict[int, bytes] = {}
        """Pipes that the job writes to, each with the name of its stream."""
        self.feed: Feed | None = None
        """What fills the job's standard input; None when that is empty, or has been closed."""

    def open(self) -> JobPipes:
        """The ends for the job; `release` them then."""
        out = err = self._output(STDOUT)
        if not self._order.merge:
            err = self._output(STDERR)
        if not self._order.stdin and not self._order.payload:
            return JobPipes(None, out, err)
        pipe, stdin = self._poller.input_pipe()
        self._ends.append(stdin)
        if self._holder is not None:
            self._holder.hold(pipe)
        order = self._order
        self.feed = Feed(self._directory, self._poller, pipe, order.payload, order.stdin)
        return JobPipes(stdin, out, err, pipe)

    def _output(self, stream: bytes) -> int:
        pipe, end = self._poller.pipe()
        self.outputs[pipe] = stream
        self._ends.append(end)
        return end

    def release(self) -> None:
        """The job has its ends, or will never have them."""
        for end in self._ends:
            close_end(end)
        self._ends.clear()

    def feed_more(self, now: float, told: bool = False) -> str:
        """Feed the job when it is time to look at its input, or at once when somebody `told` of
        bytes or room. What became of the input, in words, once it is closed."""
        feed = self.feed
        if feed is None:
            return ""
        if told:
            feed.go_on(now)
        else:
            feed.tick(now)
        if feed.outcome:
            self.close_input()
        return feed.outcome

    def end(self, pipe: int) -> None:
        """This output is at its end."""
        self._poller.drop(pipe)
        self._poller.close(pipe)
        del self.outputs[pipe]

    def close(self) -> None:
        """Close what is open; no output may be waited for any more."""
        for pipe in self.outputs:
            self._poller.close(pipe)
        self.outputs.clear()
        self.close_input()

    def close_input(self) -> None:
        """The job reads no more: let go of its input, wherever it is."""
        if self.feed is not None:
            self.feed.close()
            self.feed = None
            if self._holder is not None:
                self._holder.release()
