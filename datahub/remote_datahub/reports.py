"""The report that an ingestion wrote itself: an artifact of its job. Reads artifacts.

Artifacts come after a job's end. An execution is told to be over when its report is there, so that
whoever stops to ask then has it; but not later than a minute after the job has ended, for a host
may be gone with what it wrote.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from remote_datahub.report import ARTIFACT
from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_server.artifacts import ArtifactStore
from remote_server.domain.model import Job
from remote_server.store import Store

REPORT_TIMEOUT: Final = 60.0
"""Seconds after the end of a job in which its report may come."""
MAX_STRUCTURED: Final = 3 * 1024 * 1024
"""Bytes of a report that DataHub's server takes beside a log; a larger one is the job's only."""
_PIECE: Final = 256 * 1024


class Structured(NamedTuple):
    """What is there of a job's own report."""

    text: str | None
    due: bool
    """It may still come."""


async def structured_report(store: Store, artifacts: ArtifactStore, job: Job) -> Structured:
    """The report of a job that has ended. ArtifactUnavailable."""
    if not job.attempt:
        return Structured(None, due=False)
    key = AttemptId(job.id, job.attempt)
    found = await store.artifacts_of(key)
    one = next((item for item in found.items if item.name == ARTIFACT), None)
    if one is None or one.state is ArtifactState.UPLOADING:
        late = time.time() - (job.ended_at or 0.0) > REPORT_TIMEOUT
        coming = one is not None or len(found.items) < found.expected
        return Structured(None, due=coming and not late)
    if one.state is not ArtifactState.COMPLETE or one.size > MAX_STRUCTURED:
        return Structured(None, due=False)
    text = bytearray()
    while piece := await artifacts.read(key, one.number, len(text), _PIECE):
        text += piece
    return Structured(text.decode("utf-8", "replace"), due=False)
