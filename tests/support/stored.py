"""Short ways to bring jobs in a real store into the states that tests need."""

from __future__ import annotations

from typing import Any

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Usage
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason
from remote_server.domain.changes import Accepted, Finished, Running
from remote_server.domain.model import Lease, Outcome
from remote_server.store import Store

NOW = 1_800_000_000.0


def spec(**fields: Any) -> JobSpec:
    """A job that runs `true`."""
    return JobSpec.model_validate({"command": ["true"], **fields})


async def submitted(store: Store, now: float = NOW, **fields: Any) -> str:
    """A waiting job."""
    (job,) = await store.submit([spec(**fields)], now)
    return job.id


async def offered(store: Store, agent: str = "a", now: float = NOW, **fields: Any) -> Lease:
    """A job that was given to an agent."""
    job = await submitted(store, now, **fields)
    (lease,) = await store.assign([(job, agent)], now)
    return lease


async def running(store: Store, agent: str = "a", now: float = NOW, **fields: Any) -> AttemptId:
    """A job whose process exists."""
    lease = await offered(store, agent, now, **fields)
    return await started(store, lease, now)


async def started(store: Store, lease: Lease, now: float = NOW) -> AttemptId:
    """Accept and start a lease."""
    await store.record(lease.agent, Accepted(lease.key), now)
    await store.record(lease.agent, Running(lease.key, 4711, now), now)
    return lease.key


def ended(
    key: AttemptId,
    code: int | None = 0,
    reason: EndReason = EndReason.EXIT,
    at: float = NOW,
    **fields: Any,
) -> Ended:
    """What an agent says at the end of an attempt."""
    return Ended(
        attempt=key,
        exit_code=code,
        end_reason=reason,
        ended_at=at,
        size=fields.pop("size", 12),
        checksum=fields.pop("checksum", 7),
        usage=Usage(duration=1.5, max_rss=1024),
        **fields,
    )


async def finish(
    store: Store,
    key: AttemptId,
    code: int | None = 0,
    reason: EndReason = EndReason.EXIT,
    *,
    agent: str = "a",
    now: float = NOW,
    **fields: Any,
) -> Outcome:
    """The attempt's end is reported."""
    report = ended(key, code, reason, fields.pop("at", now), **fields)
    return await store.record(agent, Finished(key, report), now)
