"""What the calls of the API work with, handed to each of them as one frozen bundle."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from remote_protocol.ids import ulid_milliseconds
from remote_protocol.states import JobState
from remote_server.config import Config
from remote_server.domain.model import Commit, Job
from remote_server.domain.pending import WaitingRoom
from remote_server.hub import Hub
from remote_server.inputs import InputStore
from remote_server.logs import LogStore
from remote_server.store import Store
from remote_server.web.auth import Doorkeeper
from remote_server.web.bodies import BodyBudget
from remote_server.web.connections import Connections
from remote_server.web.gauges import Gauges
from remote_server.web.readiness import Readiness
from remote_server.web.streams import Streams
from remote_server.web.wakes import HAPPENINGS, Wakes


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms below the web, and what the web itself keeps."""

    config: Config
    store: Store
    logs: LogStore
    inputs: InputStore
    hub: Hub
    doors: Doorkeeper
    wakes: Wakes
    streams: Streams
    connections: Connections
    bodies: BodyBudget
    description: bytes
    """The OpenAPI document."""
    gauges: Gauges = field(default_factory=Gauges)
    readiness: Readiness = field(default_factory=Readiness)

    def committed(self, commit: Commit) -> None:
        """Called after each commit: wakes followers, forgets tokens that changed."""
        if commit.jobs:
            self.wakes.wake((HAPPENINGS, *commit.jobs))
        for (queue, reason), count in commit.outcomes.items():
            self.gauges.ended.add(count, queue, reason)
        for job, at in commit.started:
            self.gauges.dispatch.observe(max(0.0, at - ulid_milliseconds(job) / 1000))
        if "tokens" in commit.rooms or "agents" in commit.rooms:
            self.doors.forget()
            self.streams.tokens_changed()

    async def pending_reason(self, job: Job) -> str | None:
        """Why a job waits, None when it does not."""
        if job.state is not JobState.QUEUED:
            return None
        return (await self._waiting_room([job])).reason(job, time.time())

    async def pending_reasons(self, jobs: Sequence[Job]) -> dict[str, str | None]:
        """The same for many jobs."""
        waiting = [job for job in jobs if job.state is JobState.QUEUED]
        if not waiting:
            return {}
        room, now = await self._waiting_room(waiting), time.time()
        return {job.id: room.reason(job, now) for job in waiting}

    async def _waiting_room(self, waiting: Sequence[Job]) -> WaitingRoom:
        serving = await self.store.serving({job.spec.queue for job in waiting})
        known = await self.store.existing({job.spec.agent for job in waiting if job.spec.agent})
        names = {name for names in serving.values() for name in names} | known
        slots = (slot for name in names if (slot := self.hub.slot(name)) is not None)
        return WaitingRoom(await self.store.queues(), serving, slots, known)
