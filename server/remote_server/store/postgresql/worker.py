"""A thread that carries out what the event loop hands to it, in order. No database in here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

J = TypeVar("J")
_MOST: Final = 256
"""Jobs taken over at once: what comes later waits for its turn."""


class Worker(Generic[J]):
    """One thread; `work` gets all jobs that have come since it was called last. At most `most` wait
    for it: those whom nobody waits for any more count, too, until it comes to them."""

    def __init__(self, name: str, work: Callable[[list[J]], None], most: int) -> None:
        self._queue: SimpleQueue[J | None] = SimpleQueue()
        self._work = work
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: J) -> bool:
        """Hand over a job; false when too many wait already."""
        if self._queue.qsize() >= self._most:
            return False
        self._queue.put(job)
        return True

    def tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Have something called in the event loop, in the order of these calls."""
        # The loop is closed: nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    async def stop(self) -> None:
        """Carry out what was handed over before, then end the thread."""
        self._queue.put(None)
        await self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        try:
            stopping = False
            while not stopping:
                jobs: list[J] = []
                job = self._queue.get()
                with suppress(Empty):
                    while job is not None and len(jobs) < _MOST:
                        jobs.append(job)
                        job = self._queue.get_nowait()
                    stopping = job is None
                    if job is not None:
                        jobs.append(job)
                if jobs:
                    self._work(jobs)
        finally:
            self.tell(self._ended.set)
