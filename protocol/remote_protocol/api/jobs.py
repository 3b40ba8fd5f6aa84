"""Bodies of the calls about jobs. Pure."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema

from remote_protocol.api.bodies import Actor, Body, Page, View
from remote_protocol.api.inputs import InputView
from remote_protocol.artifacts import ArtifactState
from remote_protocol.defaults import empty_list
from remote_protocol.ids import IdempotencyKey, JobId
from remote_protocol.limits import MAX_BATCH_JOBS, MAX_LOOKED_UP
from remote_protocol.parts import (
    Comment,
    Usage,
)
from remote_protocol.spec import JobSpec
from remote_protocol.spec.kinds import by_kind
from remote_protocol.states import AttemptState, EndReason, JobState


class JobBatch(Body):
    """Many jobs in one transaction."""

    jobs: list[JobSpec] = Field(min_length=1, max_length=MAX_BATCH_JOBS)
    atomic: bool = True
    """All of them or none; false: what is wrong with one job does not keep the others."""


class JobResult(View):
    """What became of one job of a batch: its `id`, or why it was refused."""

    id: JobId | None = None
    status: int | None = None
    """The HTTP status that the job alone would have been answered with."""
    code: str | None = None
    """Stable name of the error (`errors.ErrorCode`)."""
    detail: str = ""
    """Cause and cure, for people."""


class JobBatchCreated(View):
    """Answer to a batch: the ids, in the order of the jobs."""

    ids: list[JobId]
    """Of those that were refused there is none."""
    results: list[JobResult] | None = None
    """One for each job, in order; only where the batch was not atomic."""


class AttemptView(View):
    """One attempt of a job."""

    number: int
    state: AttemptState
    agent: str
    offered_at: datetime
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    end_reason: EndReason | None = None
    end_detail: str = ""
    usage: Usage | None = None
    log_size: int = 0
    log_complete: bool = False
    """Whether size and checksum of the log agree with what the agent reported."""
    log_checksum: int | None = None
    """CRC-32 of the complete log as it is stored (`Accept: application/vnd.cri-log`)."""


class JobView(JobSpec):
    """A job as shown: its specification and what became of it.

    `agent` is the one that holds it, or held it last. What is validated is an instance of the view
    of its kind (`view_of`), which has the fields of the kind's specification, too.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: JobId
    trace_id: str | None = None
    """The trace that its programs and spans belong to; only where one job is shown."""
    state: JobState
    pending_reason: str | None = None
    """Why it waits, in words, while it is queued."""
    attention: str | None = None
    """What is the matter with it while an agent holds it, as that the agent is offline. Filled by
    `GET /jobs/{id}`."""
    attempt: int = 0
    """Number of the current or last attempt; 0 before the first."""
    group: JobId | None = None
    """The group that it is a member of."""
    wanted_agent: str | None = None
    """The only agent that gets it: the specification's `agent`."""
    exit_code: int | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    cancel_requested: bool = False
    created_at: datetime
    assigned_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    not_before: datetime | None = None
    """A retry waits until then."""
    usage: Usage | None = None
    log_size: int = 0
    outputs: dict[str, str] = Field(default_factory=dict)
    """What it wrote to `REMOTE_OUTPUTS`: that of the attempt it ended with. Filled by
    `GET /jobs/{id}` once it has ended."""
    outputs_warning: str | None = None
    """What of that was left out or changed, and why."""
    artifacts: int = 0
    """How many files the attempt that it ended with gives back. Filled by `GET /jobs/{id}`."""
    submitted_by: Actor | None = None
    input: InputView | None = None
    """The input of a job that takes one, while it is kept: until the job has ended."""
    allowed_actions: list[str] = Field(default_factory=empty_list)
    """What the caller may do with it now: `cancel`, `retry`, `submit_again` (with changes)."""
    attempts: list[AttemptView] = Field(default_factory=empty_list)
    """Filled by `GET /jobs/{id}`, empty in lists."""
    abridged: list[str] = Field(default_factory=empty_list)
    """Fields of which a list shows an excerpt only, or nothing: a long command, script or
    environment, and files. `GET /jobs/{id}` has them whole."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return by_kind(cls, cls.kinds, view_of) if cls is JobView else handler(source)


class JobOutputs(View):
    """What one attempt of a job has written to `REMOTE_OUTPUTS`."""

    attempt: int
    """Its number; 0 before the first one."""
    outputs: dict[str, str]
    """Values by key, in the order in which they were written; empty until the attempt has ended."""
    warning: str | None = None
    """What of the file was left out or changed, and why."""


class ArtifactView(View):
    """A file that a job gives back."""

    number: int
    name: str
    """Its path below `REMOTE_ARTIFACTS`, with slashes."""
    size: int
    state: ArtifactState
    reason: str | None = None
    """Why it has failed."""
    sha256: str | None = None
    """Of its content, as its host computed it; once it is complete the server has compared it."""


class JobArtifacts(View):
    """The files that one attempt of a job gives back."""

    attempt: int
    """Its number; 0 before the first one."""
    expected: int
    """How many its host has found when the job ended."""
    complete: bool
    """Whether nothing more will come: each is complete or has failed."""
    warning: str | None = None
    """Which files its host has left out, and why."""
    items: list[ArtifactView]
    """Those that have begun to come."""


@cache
def view_of(spec: type[JobSpec]) -> type[JobView]:
    """The view of jobs of the kind that a specification's model stands for."""
    name = spec.__name__.removesuffix("Spec") + "JobView"
    bases: tuple[Any, ...] = (spec, JobView)
    return create_model(name, __base__=bases, __module__=__name__)


class JobPage(Page[JobView]):
    """One page of a list of jobs."""

    total: int | None = None
    """How many jobs there are in all, at most 10,000: that many or more. Null: nobody has counted
    them, because it would take a search (filters other than state and queue)."""


class JobLookup(Body):
    """Jobs that somebody knows, by one or the other."""

    ids: list[JobId] = Field(default_factory=empty_list, max_length=MAX_LOOKED_UP)
    idempotency_keys: list[IdempotencyKey] = Field(
        default_factory=empty_list, max_length=MAX_LOOKED_UP
    )
    """Keys that the caller's own token submitted jobs with."""


class JobsFound(View):
    """Answer to a look-up, in no order."""

    items: list[JobView]
    keys: dict[str, JobId]
    """The id of the job of each key that is known."""
    missing_ids: list[JobId]
    """There is no such job, or none that the caller may see."""
    missing_keys: list[str]


class Cancellation(Body):
    """Why a job is cancelled; optional."""

    reason: Comment = ""
