"""The spans of a job, from its rows."""

from __future__ import annotations

from typing import Any

from remote_protocol.ids import make_ulid
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_protocol.trace import Part, span_of
from remote_server.domain.model import Attempt, Job
from remote_server.export.spans import Span, spans_of, submit_span
from tests.support.stored import spec

ID = make_ulid(1_000_000_000, bytes(range(1, 11)))
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def job(**more: Any) -> Job:
    known: dict[str, Any] = {"state": JobState.SUCCEEDED, "end_reason": EndReason.EXIT}
    fields = more.pop("spec", {})
    known |= {"exit_code": 0}
    return Job(ID, spec(**fields), created_at=100.0, **{**known, **more})


def attempt(
    number: int, offered: float, started: float | None, ended: float, **more: Any
) -> Attempt:
    known: dict[str, Any] = {"state": AttemptState.ENDED, "end_reason": EndReason.EXIT}
    known |= {"started_at": started, "ended_at": ended, "exit_code": 0, "log_size": 7}
    return Attempt(ID, number, "a", offered_at=offered, **{**known, **more})


def times(spans: list[Span]) -> list[tuple[str, float, float]]:
    return [(span.name, span.begun, span.ended) for span in spans]


def test_a_job_with_one_attempt() -> None:
    trace, spans = spans_of(job(spec={"name": "n"}), [attempt(1, 101.0, 102.0, 105.0)], 106.0)
    assert times(spans) == [
        ("job", 100.0, 106.0),
        ("queue", 100.0, 101.0),
        ("dispatch", 101.0, 102.0),
        ("run", 102.0, 105.0),
        ("upload", 105.0, 106.0),
    ]
    whole, *parts = spans
    assert (whole.id, whole.parent, whole.failed) == (span_of(ID), "", "")
    assert all(part.parent == whole.id for part in parts)
    assert [part.id for part in parts] == [
        span_of(ID, part, 1) for part in (Part.QUEUE, Part.DISPATCH, Part.RUN, Part.UPLOAD)
    ]
    assert whole.attributes["job.name"] == "n" and whole.attributes["job.exit_code"] == 0
    assert parts[3].attributes["log.bytes"] == 7
    assert len(trace.id) == 32


def test_it_continues_the_trace_that_it_came_with() -> None:
    trace, (whole, *_) = spans_of(job(spec={"traceparent": GIVEN}), [], 106.0)
    assert (trace.id, whole.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def test_attempts_follow_one_another_and_failures_are_said() -> None:
    lost = attempt(
        1, 101.0, 102.0, 103.0, state=AttemptState.LOST, exit_code=None, end_reason=EndReason.LOST
    )
    last = attempt(2, 110.0, 111.0, 112.0, exit_code=3, end_detail="exit code 3")
    failed = job(state=JobState.FAILED, exit_code=3, end_detail="exit code 3")
    _, spans = spans_of(failed, [lost, last], 113.0)
    assert spans[0].failed == "exit, exit code 3"
    assert times(spans[1:]) == [
        ("queue", 100.0, 101.0),
        ("dispatch", 101.0, 102.0),
        ("run", 102.0, 103.0),
        ("queue", 103.0, 110.0),
        ("dispatch", 110.0, 111.0),
        ("run", 111.0, 112.0),
        ("upload", 112.0, 113.0),
    ]
    assert [span.failed for span in spans if span.name == "run"] == ["lost", "exit, exit code 3"]
    assert not any(span.failed for span in spans[1:] if span.name != "run")


def test_a_host_with_another_clock_makes_no_negative_span() -> None:
    _, spans = spans_of(job(), [attempt(1, 101.0, 50.0, 40.0)], 106.0)
    assert all(span.begun <= span.ended for span in spans)


def test_what_never_started_does_not_run() -> None:
    never = attempt(1, 101.0, None, 103.0, exit_code=None)
    _, spans = spans_of(job(), [never], 104.0)
    assert [span.name for span in spans] == ["job", "queue", "dispatch", "upload"]


def test_its_submission() -> None:
    assert submit_span(ID, 100.0, 100.5) == Span(
        "submit", span_of(ID, Part.SUBMIT), span_of(ID), 100.0, 100.5, "", {"job.id": ID}
    )
    assert submit_span(ID, 100.0, 99.0).ended == 100.0


def test_nothing_in_them_quotes_what_was_submitted_or_printed() -> None:
    secret = "hunter2"
    detail = f"there is no program {secret!r}"
    told = job(
        spec={"command": [secret], "env": {"PASSWORD": secret}, "labels": {"team": secret}},
        state=JobState.FAILED,
        end_reason=EndReason.SPAWN_ERROR,
        exit_code=None,
        end_detail=detail,
    )
    why: dict[str, Any] = {"end_reason": EndReason.SPAWN_ERROR, "end_detail": detail}
    _, spans = spans_of(told, [attempt(1, 101.0, 102.0, 103.0, exit_code=None, **why)], 104.0)
    assert spans[0].failed == "spawn_error"
    assert secret not in repr(spans)
