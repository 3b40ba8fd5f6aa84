"""Jobs: submit, show, list, cancel, retry, wait; their inputs and timelines."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence

from remote_client.modes import method, stream
from remote_client.paths import key
from remote_client.resources.base import Resource
from remote_client.transport import Document
from remote_protocol.api.bodies import Page
from remote_protocol.api.events import TimelineEntry
from remote_protocol.api.explanations import JobExplanation
from remote_protocol.api.inputs import InputView
from remote_protocol.api.jobs import (
    JobArtifacts,
    JobBatch,
    JobBatchCreated,
    JobOutputs,
    JobResult,
    JobsFound,
    JobView,
)
from remote_protocol.spec import JobSpec


class JobMethods(Resource):
    """Calls about jobs."""

    @method
    async def submit(self, spec: JobSpec) -> JobView:
        """Submit one job; safe to repeat by its idempotency key."""
        return self._view(JobView, await self._calls.submit(json.loads(spec.submission)))

    @method
    async def submit_batch(self, specs: Sequence[JobSpec]) -> list[str]:
        """Submit many jobs in one transaction, all or none; their ids in order. Each gets its own
        key."""
        return self._view(JobBatchCreated, await self._calls.submit_batch(_keyed(specs))).ids

    @method
    async def submit_each(self, specs: Sequence[JobSpec]) -> list[JobResult]:
        """Submit many jobs in one transaction, without those that the server refuses; what became
        of each, in order. Each gets its own key."""
        answer = await self._calls.submit_batch(_keyed(specs), atomic=False)
        return self._view(JobBatchCreated, answer).results or []

    @method
    async def explain(self, spec: JobSpec) -> JobExplanation:
        """Whether and where a job would run; nothing is submitted."""
        return self._view(JobExplanation, await self._calls.explain(json.loads(spec.submission)))

    @method
    async def look_up(
        self, ids: Sequence[str] = (), *, idempotency_keys: Sequence[str] = ()
    ) -> JobsFound:
        """Jobs by their ids, and by the keys that this token submitted them with; 500 of each at
        the most."""
        return self._view(JobsFound, await self._calls.look_up(ids, idempotency_keys))

    @method
    async def job(self, job: str, *, persistent: bool = False) -> JobView:
        """One job with its attempts; a `persistent` call outlasts an outage of ten minutes."""
        return self._view(JobView, await self._calls.job(job, persistent=persistent))

    @method
    async def jobs(self, /, limit: int = 50, **filters: str | None) -> Page[JobView]:
        """One page of jobs, newest first; filters: state, queue, agent, cursor."""
        return self._view(Page[JobView], await self._calls.jobs(limit=limit, **filters))

    @method
    async def cancel(self, job: str, reason: str = "", *, persistent: bool = False) -> JobView:
        """Wish that a job ends; its state follows when its agent has done it."""
        return self._view(JobView, await self._calls.cancel(job, reason, persistent=persistent))

    @method
    async def send_input(self, job: str, offset: int, part: bytes, end: bool = False) -> InputView:
        """Put a part of a job's input, at most 1 MiB, at `offset`: what the server has already
        changes nothing. With `end` nothing follows; only then the job sees the end."""
        return self._view(InputView, await self._calls.send_input(job, offset, part, end))

    @method
    async def input(self, job: str) -> InputView:
        """How much of a job's input the server has: where to go on."""
        return self._view(InputView, await self._calls.input(job))

    @method
    async def retry(self, job: str) -> JobView:
        """A new job from an ended one's specification."""
        return self._view(JobView, await self._calls.retry(job))

    @method
    async def timeline(self, job: str) -> list[TimelineEntry]:
        """Everything that happened to a job, in order."""
        return self._view(Page[TimelineEntry], await self._calls.timeline(job)).items

    @method
    async def outputs(self, job: str, attempt: int | None = None) -> JobOutputs:
        """What a job wrote to REMOTE_OUTPUTS: that of its last attempt, or of another one."""
        return self._view(JobOutputs, await self._calls.outputs(job, attempt))

    @method
    async def artifacts(self, job: str, attempt: int | None = None) -> JobArtifacts:
        """The files that a job gives back, by its last attempt or another one."""
        return self._view(JobArtifacts, await self._calls.artifacts(job, attempt))

    @stream
    async def artifact(
        self, job: str, name: str, *, attempt: int | None = None, offset: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of such a file from `offset` on, in pieces; a broken link is bridged."""
        async for piece in self._calls.artifact(job, name, attempt, offset):
            yield piece

    @method
    async def wait(self, job: str, timeout: float | None = None) -> JobView:
        """The job once it has ended. ClientError when `timeout` seconds pass before."""
        return self._view(JobView, await self._calls.wait(job, timeout))


def _keyed(specs: Sequence[JobSpec]) -> list[Document]:
    """The bodies of many jobs, which may be sent again."""
    keyed = [
        spec if spec.idempotency_key else spec.model_copy(update={"idempotency_key": key()})
        for spec in specs
    ]
    return [json.loads(spec.submission) for spec in JobBatch(jobs=keyed).jobs]
