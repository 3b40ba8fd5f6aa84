"""Bodies of the calls about queues. Pure."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from remote_protocol.api.bodies import Body, View
from remote_protocol.defaults import empty_list
from remote_protocol.ids import Name
from remote_protocol.parts import (
    Comment,
)
from remote_protocol.quantities import Duration, Size


class QueueCreate(Body):
    """`POST /queues`."""

    name: Name
    description: Comment = ""
    log_retention: Duration | None = None
    """Seconds that logs of ended jobs are kept; null: for ever."""
    log_max_total: Size | None = None
    """Bytes of logs of ended jobs that are kept; the oldest go first."""
    job_retention: Duration | None = None
    """Seconds that ended jobs are kept, with timeline and logs; null: as the server says."""
    default: bool = False
    """Whether jobs that name no queue go there, instead of to the one that has been the default
    queue."""


class QueueChange(Body):
    """`PATCH /queues/{name}`: fields that are left out stay."""

    description: Comment | None = None
    paused: bool | None = None
    log_retention: Duration | None = None
    log_max_total: Size | None = None
    job_retention: Duration | None = None
    default: bool | None = None
    """true: jobs that name no queue go there from now on, no longer to the one that has been the
    default queue. An admin's; there is always exactly one."""


class QueueView(View):
    """A queue with its present load."""

    name: Name
    description: str = ""
    paused: bool = False
    default: bool = False
    """Whether jobs that name no queue go there: exactly one queue is the default one."""
    healthy: bool = False
    """Whether at least one agent that serves it is online."""
    queued: int = 0
    running: int = 0
    oldest_seconds: float | None = None
    """Age of the oldest job that waits."""
    agents: list[str] = Field(default_factory=empty_list)
    agents_online: int = 0
    log_retention: float | None = None
    log_max_total: int | None = None
    job_retention: float | None = None
    created_at: datetime
    allowed_actions: list[str] = Field(default_factory=empty_list)
    """What the caller may do with it now: `pause`, `resume`, `change`, `make_default`,
    `delete`."""
