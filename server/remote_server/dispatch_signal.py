"""What the dispatcher has to look at: set by commits and links, taken by the dispatcher. No I/O."""

from __future__ import annotations

import asyncio

from remote_server.domain.change_set import ChangeSet, hears


class DispatchSignal:
    """Wakes the dispatcher, and remembers which agents changed since it looked last."""

    def __init__(self) -> None:
        self.agents: set[str] = set()
        """Agents whose place for jobs has to be looked at again."""
        self.everything = True
        """All of them have to be."""
        self.awake = True
        """There may be something to do now."""
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends = 0.0
        """When the present wait is over in any case, by the loop's clock."""

    def wake(self, agent: str | None = None) -> None:
        """Something changed: jobs are ready, or an agent's link, slots or eligibility. Say which
        agent, so that only that one is looked at again."""
        if agent is not None:
            self.agents.add(agent)
        self.awake = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def idle(self) -> bool:
        """Whether the dispatcher has looked at everything, and waits."""
        return self._waiter is not None and not self.awake

    @hears("queued")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit."""
        if changes.queued:
            self.wake()

    async def wait(self, seconds: float) -> None:
        """Wait until something changed; after `seconds` everything is to be looked at, in case an
        event was missed."""
        if self.awake:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self._ends = loop.time() + seconds
        # Most waits end at once: one timer looks after many of them.
        if self._timer is None or self._timer.when() > self._ends:
            self._look_at(self._ends)
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._look_at(None)
            raise
        finally:
            self._waiter = None

    def _look_at(self, time: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if time is None else loop.call_at(time, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if asyncio.get_running_loop().time() < self._ends:
            self._look_at(self._ends)
        else:
            self.everything = True
            self.wake()
