"""Bodies of the calls that tell what happened. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from remote_protocol.api.bodies import Actor, View
from remote_protocol.ids import JobId
from remote_protocol.states import EndReason, JobState


class TimelineEntry(View):
    """One thing that happened to a job."""

    seq: int
    """Grows over all jobs; `GET /events?after=` resumes after it."""
    job: JobId
    at: datetime
    what: str
    """`queued assigned accepted started first_output interrupt kill ended …`"""
    state: JobState | None = None
    """The job's state from then on, when this changed it."""
    attempt: int = 0
    agent: str | None = None
    source: Literal["server", "agent"] = "server"
    detail: str = ""
    by: Actor | None = None
    """Who asked for it."""


class JobEvent(TimelineEntry):
    """A change of a job's state, as `GET /events` gives it."""

    queue: str = ""
    exit_code: int | None = None
    """Of the job, in the event of its end; so is the reason."""
    end_reason: EndReason | None = None
    idempotency_key: str | None = None
    """What it was submitted with."""
