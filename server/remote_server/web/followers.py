"""Tells followers of logs and events that something was committed. No I/O.

A follower owns an event that is set at every change of its topic; it clears the event before it
looks, so that a change between looking and waiting is never missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from remote_server.domain.change_set import ChangeSet, hears

TIMELINE: Final = ""
"""The topic of all changes of job states; every other topic, save AUDIT, is a job's id."""
AUDIT: Final = "audit"
"""The topic of all new entries of the audit."""


def agent_log_topic(agent: str) -> str:
    """The topic of an agent's own log; no job has such an id."""
    return f"agent {agent}"


def queue_topic(queue: str) -> str:
    """The topic of changes of the states of a queue's jobs; no job has such an id."""
    return f"queue {queue}"


class Followers:
    """The followers and what each one waits for."""

    def __init__(self) -> None:
        self._followers: dict[str, set[asyncio.Event]] = {}
        self.closing = False
        """The server stops: followers break off, so that their clients come back and resume."""

    @contextmanager
    def follow(self, *topics: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change of one of the topics."""
        event = asyncio.Event()
        for topic in topics:
            self._followers.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            for topic in topics:
                followers = self._followers[topic]
                followers.discard(event)
                if not followers:
                    del self._followers[topic]

    @hears("jobs", "audited")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit."""
        if not self._followers:
            return
        if changes.jobs:
            self.notify((TIMELINE, *changes.jobs))
            self.notify(queue_topic(queue) for queue, _ in changes.state_counts)
        if changes.audited:
            self.notify((AUDIT,))

    def notify(self, topics: Iterable[str]) -> None:
        """These topics have changed."""
        if not self._followers:
            return
        for topic in topics:
            for event in self._followers.get(topic, ()):
                event.set()

    def close(self) -> None:
        """Notify everyone for the last time."""
        self.closing = True
        self.notify(list(self._followers))


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
