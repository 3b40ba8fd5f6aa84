"""An event loop whose time is set from outside: what a simulated process runs on.

Each process has one of its own, and a crash drops it: what it still meant to do is never done.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from typing import Any

MOST_TURNS = 20_000
"""Callbacks that a process may run without time passing."""


class _Handle:
    """A callback that can be taken back. Of asyncio's own, only what it is asked for here."""

    __slots__ = ("args", "callback", "context", "over", "when_")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        when: float = 0.0,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when_ = when
        self.over = False

    def cancel(self) -> None:
        self.over = True

    def cancelled(self) -> bool:
        return self.over

    def when(self) -> float:
        return self.when_


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks when it is told to: `run` those that are ready, `advance` also timers."""

    def __init__(self, now: float = 0.0) -> None:
        # Nothing of the base is used: it waits for sockets.
        self.now = now
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._count = 0
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.faults: list[BaseException] = []
        """What was raised where nobody waits for it."""

    # What the simulation asks ------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Set the clock, then do what is due by then and all that follows from it."""
        self.now = now
        timers = self._timers
        if not timers or timers[0][0] > now:
            return
        while timers and timers[0][0] <= now:
            handle = heappop(timers)[2]
            if not handle.over:
                self._ready.append(handle)
        self.run()

    def run(self) -> None:
        """Do everything that can be done without time passing."""
        self._run()
        if self.faults:
            raise self.faults[0]

    def _run(self) -> None:
        turns, ready = 0, self._ready
        if not ready:
            return
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while ready:
                turns += 1
                assert turns < MOST_TURNS, "it works without end and gets nowhere"
                handle = ready.popleft()
                if handle.over:
                    continue
                try:
                    if handle.context is None:
                        handle.callback(*handle.args)
                    else:
                        handle.context.run(handle.callback, *handle.args)
                except Exception as error:
                    self.faults.append(error)
        finally:
            events._set_running_loop(before)

    @property
    def due(self) -> float | None:
        """When the next timer is due."""
        timers = self._timers
        while timers and timers[0][2].over:
            heappop(timers)
        return timers[0][0] if timers else None

    def drop(self) -> None:
        """The process is dead: end what it was doing. Its ports must do nothing any more."""
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            self._run()
        self._timers.clear()
        self._ready.clear()

    # What asyncio asks -------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        return True

    def __del__(self) -> None:
        """There is nothing to close."""

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, args, context, when)
        self._count += 1
        heappush(self._timers, (when, self._count, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: str | None = None,
        **_: Any,
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(context.get("exception") or AssertionError(context["message"]))
