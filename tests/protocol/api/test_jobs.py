"""Jobs as shown and as sent in batches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from remote_protocol.api.jobs import JobBatch, JobView
from remote_protocol.limits import MAX_BATCH_JOBS
from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.states import JobState

JOB = "01ARYZ6S410000000000000000"
AT = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_job_as_shown_is_its_specification_and_more() -> None:
    spec = CommandSpec(command=["true"], labels={"os": "linux"})
    fields = {**spec.model_dump(), "id": JOB, "state": "queued", "created_at": AT, "new": 1}
    view = JobView.model_validate(fields)
    assert view.state is JobState.QUEUED
    assert JobView.model_validate_json(view.model_dump_json()) == view
    assert JobSpec.model_validate({k: fields[k] for k in CommandSpec.model_fields}) == spec


def test_a_batch_is_bounded() -> None:
    job = {"command": ["true"]}
    with pytest.raises(ValidationError):
        JobBatch.model_validate({"jobs": []})
    with pytest.raises(ValidationError):
        JobBatch.model_validate({"jobs": [job] * (MAX_BATCH_JOBS + 1)})
