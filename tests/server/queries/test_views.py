"""Views say what the store knows; put together without validation, they are valid all the same."""

from __future__ import annotations

from datetime import UTC, datetime

from remote_protocol.api.bodies import Actor
from remote_protocol.api.events import JobEvent, TimelineEntry
from remote_protocol.api.jobs import AttemptView, JobView
from remote_protocol.api.tokens import TokenView
from remote_protocol.ids import Role
from remote_protocol.messages import Usage
from remote_protocol.spec import CommandSpec
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.model import Attempt, Job, Principal, StateChange, TimelineEvent, Token
from remote_server.queries.views import (
    attempt_view,
    change_json,
    job_view,
    timeline_entry,
    token_view,
    when_if,
)

JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
ATTEMPT = Attempt(
    JOB, 2, "a", AttemptState.ENDED, 1.0, 2.0, 3.0, 4.0, 137, EndReason.SIGNAL, "killed", Usage(), 9
)


def test_a_job() -> None:
    job = Job(
        id=JOB,
        spec=CommandSpec(command=["true"], name="n"),
        state=JobState.FAILED,
        created_at=0.5,
        attempt=2,
        agent="a",
        exit_code=137,
        end_reason=EndReason.SIGNAL,
        end_detail="killed",
        cancel_requested_at=3.5,
        ended_at=4.0,
        usage=Usage(max_rss=7),
        log_size=9,
    )
    view = job_view(job, None, [ATTEMPT])
    assert JobView.model_validate_json(view.model_dump_json()) == view
    assert (view.name, view.state, view.cancel_requested) == ("n", JobState.FAILED, True)
    assert view.created_at == datetime(1970, 1, 1, 0, 0, 0, 500_000, UTC)
    assert view.attempts[0].number == 2
    assert job_view(job, "waits").pending_reason == "waits"


def test_an_attempt() -> None:
    view = attempt_view(ATTEMPT)
    assert AttemptView.model_validate_json(view.model_dump_json()) == view
    assert (view.exit_code, view.log_size, view.log_complete) == (137, 9, False)


def test_a_timeline_entry() -> None:
    view = timeline_entry(
        TimelineEvent(7, JOB, 1.0, "started", JobState.RUNNING, 1, "a", "agent", "p")
    )
    assert TimelineEntry.model_validate_json(view.model_dump_json()) == view
    assert (view.seq, view.source) == (7, "agent")


def test_a_token_without_its_secret() -> None:
    token = Token(JOB, "api", "n", 0.0, role=Role.ADMIN, queues=("a",))
    view = token_view(token, token)
    assert TokenView.model_validate_json(view.model_dump_json()) == view
    assert (view.role, view.queues) == (Role.ADMIN, ["a"])


def test_times_may_be_missing() -> None:
    assert when_if(None) is None
    assert when_if(0.0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_changes_as_json_are_what_their_model_says() -> None:
    by = Principal(JOB, "alice")
    ended = StateChange(
        *(8, JOB, 1.25, "ended", JobState.FAILED, 1, None, "server", "", by),
        *("q", 3, EndReason.EXIT, "k"),
    )
    for entry in (
        ended,
        StateChange(7, JOB, 1.0, "started", JobState.RUNNING, 1, "a", "agent", 'p "ü"\n'),
        StateChange(9, JOB, 1732600000.123456, "queued", JobState.QUEUED, 0, None, "server", ""),
    ):
        told = JobEvent.model_validate_json(change_json(entry))
        assert told.model_dump_json() == change_json(entry)
        assert told.model_dump(include=set(TimelineEntry.model_fields)) == vars_of(entry)
    assert change_json(ended).endswith(
        '"queue":"q","exit_code":3,"end_reason":"exit","idempotency_key":"k"}'
    )


def vars_of(entry: TimelineEvent) -> dict[str, object]:
    """What the timeline shows of the same."""
    return timeline_entry(entry).model_dump()


def test_a_view_has_all_fields_of_its_model() -> None:
    by = Principal(JOB, "alice")
    job = Job(JOB, CommandSpec(command=["true"]), JobState.QUEUED, 0.5, submitted_by=by)
    view = job_view(job)
    assert set(vars(view)) == view.model_fields_set == set(type(view).model_fields)
    assert view == type(view).model_construct(**vars(view))
    assert view.submitted_by is not None
    assert set(vars(view.submitted_by)) == set(Actor.model_fields)
    assert view.model_copy(update={"name": "n"}).name == "n"
