"""The words in which a list of jobs is asked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.states import EndReason, JobState
from remote_server.store import JobFilter
from remote_server.web.actions.listing import MOST_COUNTED, JobsQuery, count_of

NOW = 1_800_000_000.0


def test_nothing_given_is_every_job() -> None:
    assert JobsQuery().filter("me", NOW) == JobFilter()


def test_everything_given_must_hold() -> None:
    query = JobsQuery.model_validate(
        {
            "state": ["failed"],
            "queue": "gpu",
            "agent": "a",
            "name": "night",
            "id": "01m8",
            "label": ["gpu=h100", "cuda"],
            "since": "10m",
            "submitted_by": "me",
            "end_reason": ["timeout", "lost"],
        }
    )
    assert query.filter("token", NOW) == JobFilter(
        states=frozenset({JobState.FAILED}),
        queue="gpu",
        agent="a",
        name="night",
        part="01M8",
        labels=(("gpu", "h100"), ("cuda", None)),
        since=NOW - 600,
        submitter="token",
        reasons=frozenset({EndReason.TIMEOUT, EndReason.LOST}),
    )


@pytest.mark.parametrize("given", [{"cursor": "x"}, {"end_reason": ["bored"]}, {"id": "a b"}])
def test_what_is_no_list_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JobsQuery.model_validate(given)


def test_jobs_are_counted_up_to_a_bound() -> None:
    counts = {("a", JobState.QUEUED): 5, ("b", JobState.QUEUED): 7, ("a", JobState.FAILED): 20_000}
    assert count_of(counts, None, [JobState.QUEUED]) == 12
    assert count_of(counts, "a", [JobState.QUEUED, JobState.RUNNING]) == 5
    assert count_of(counts, "none", []) == 0
    assert count_of(counts, "a", []) == MOST_COUNTED
