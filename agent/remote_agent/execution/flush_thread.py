"""A thread that flushes the disk, one flush after another, and tells the loop of each.

Touches what its call touches. The loop's executor does as much for each call with a future of its
own and one of the loop's, which costs twice as much as waking a thread does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread


class FlushThread:
    """Calls `flush`, which raises nothing, and then has the loop call `flushed` with what it
    returned. The thread is made for the first one, and lasts as long as the process."""

    def __init__(
        self,
        flush: Callable[[], OSError | None],
        flushed: Callable[[OSError | None], None],
    ) -> None:
        self._flush = flush
        self._flushed = flushed
        self._wanted: SimpleQueue[asyncio.AbstractEventLoop] = SimpleQueue()
        self._thread: Thread | None = None

    def begin(self) -> None:
        """Have one made; `flushed` is called by the running loop."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="flush", daemon=True)
            self._thread.start()
        self._wanted.put(asyncio.get_running_loop())

    def _run(self) -> None:
        while True:
            loop = self._wanted.get()
            failed = self._flush()
            with suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
                loop.call_soon_threadsafe(self._flushed, failed)
