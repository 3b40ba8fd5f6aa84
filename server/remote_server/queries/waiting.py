"""Why jobs wait and what is the matter with those that run, from the store and the live links.

Reads both, changes nothing; `domain.pending` has the words.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_protocol.units import format_duration
from remote_server.domain.groups import why_held
from remote_server.domain.model import Job
from remote_server.domain.pending import PendingReasons
from remote_server.queries.sources import LiveAgents, Slots
from remote_server.store import Store


async def waiting_reasons(store: Store, links: Slots, jobs: Sequence[Job]) -> dict[str, str | None]:
    """Why each of these jobs waits, None for those that do not."""
    waiting = [job for job in jobs if job.state is JobState.QUEUED]
    if not waiting:
        return {}
    pending = await pending_reasons(store, links, [job.spec for job in waiting])
    groups = {job.group for job in waiting if job.group is not None}
    held = {group: why_held(await store.group(group)) for group in groups}
    now = time.time()
    return {job.id: held.get(job.group or "") or pending.reason(job, now) for job in waiting}


def fetching_reasons(agents: LiveAgents, jobs: Sequence[Job]) -> dict[str, str]:
    """Of these jobs, those that agents hold and whose files are on their way there: why they have
    not started."""
    found = {}
    for job in jobs:
        if job.state is JobState.ASSIGNED and job.agent is not None:
            fetching = agents.fetching(job.agent, AttemptId(job.id, job.attempt))
            if fetching is not None:
                found[job.id] = fetching.words(job.agent)
    return found


async def pending_reasons(store: Store, links: Slots, specs: Sequence[JobSpec]) -> PendingReasons:
    """What explains why jobs of these specifications wait."""
    serving = await store.serving({spec.queue for spec in specs})
    known = await store.existing({spec.agent for spec in specs if spec.agent})
    names = {name for names in serving.values() for name in names} | known
    slots = (slot for name in names if (slot := links.slot(name)) is not None)
    return PendingReasons(await store.queues(), serving, slots, known)


def attention(job: Job, silence: float | None, now: float) -> str | None:
    """What people should know about a job that an agent holds: that the agent is away, since when,
    and when the job counts as lost. `silence`: seconds since it was heard; None: it is online."""
    if silence is None or job.agent is None or job.state is JobState.QUEUED or job.state.terminal:
        return None
    left = job.spec.on_disconnect.lost_after - silence
    then = f"at {_moment(now + left)}" if left > 0 else "now"
    return (
        f"its agent {job.agent!r} is offline since {_moment(now - silence)} "
        f"({format_duration(max(1.0, silence))}); the job counts as lost {then}"
    )


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
