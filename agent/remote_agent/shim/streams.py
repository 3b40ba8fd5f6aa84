"""The pipes of one job: where its output comes from, and where its input goes. Pipes only."""

from __future__ import annotations

from remote_agent.processes import Folder, Poller, close_end
from remote_agent.shim.feed import Feed
from remote_agent.shim.order import Order
from remote_protocol.cri import STDERR, STDOUT


class Streams:
    """Makes a job's pipes as its order says. `ends` is for the job, the rest for its shim."""

    def __init__(self, directory: Folder, order: Order, waiter: Poller) -> None:
        self._directory = directory
        self._order = order
        self._waiter = waiter
        self._ends: list[int] = []
        self.outputs: dict[int, bytes] = {}
        """Pipes that the job writes to, each with the name of its stream."""
        self.feed: Feed | None = None
        """What fills the job's standard input; None when that is empty, or has been closed."""

    def open(self) -> tuple[int | None, int, int]:
        """Standard input (None: empty), output and error for the job; `release` them then."""
        out = err = self._output(STDOUT)
        if not self._order.merge:
            err = self._output(STDERR)
        if not self._order.stdin:
            return None, out, err
        inlet, stdin = self._waiter.inlet()
        self._ends.append(stdin)
        self.feed = Feed(self._directory, self._waiter, inlet)
        return stdin, out, err

    def _output(self, stream: bytes) -> int:
        pipe, end = self._waiter.pipe()
        self.outputs[pipe] = stream
        self._ends.append(end)
        return end

    def release(self) -> None:
        """The job has its ends, or will never have them."""
        for end in self._ends:
            close_end(end)
        self._ends.clear()

    def end(self, pipe: int) -> None:
        """This output is at its end."""
        self._waiter.drop(pipe)
        self._waiter.close(pipe)
        del self.outputs[pipe]

    def close(self) -> None:
        """Close what is open; no output may be waited for any more."""
        for pipe in self.outputs:
            self._waiter.close(pipe)
        self.outputs.clear()
        if self.feed is not None:
            self.feed.close()
            self.feed = None
