"""The spans of a job that has ended, from its rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from remote_protocol.states import AttemptState, EndReason, JobState
from remote_protocol.trace import Part, Trace, span_of, trace_of
from remote_server.domain.model import Attempt, Job


class Span(NamedTuple):
    """One part of a job's life."""

    name: str
    id: str
    """16 hexadecimal digits."""
    parent: str
    """The same; empty: none."""
    begun: float
    """Unix seconds."""
    ended: float
    failed: str
    """Why, in words; empty: it did not fail."""
    attributes: dict[str, str | int]


def spans_of(job: Job, attempts: Sequence[Attempt], settled_at: float) -> tuple[Trace, list[Span]]:
    """The trace, and in it the job with its attempts' waiting, dispatch, run and upload.

    `settled_at`: when the server had all of it (Unix seconds). Hosts have clocks of their own: no
    span ends before it began.
    """
    trace = trace_of(job.id, job.spec.traceparent)
    known: dict[str, object] = {
        "job.id": job.id,
        "job.name": job.spec.name,
        "job.queue": job.spec.queue,
        "job.state": job.state.value,
        "job.end_reason": None if job.end_reason is None else job.end_reason.value,
        "job.exit_code": job.exit_code,
        "job.attempts": len(attempts),
    }
    failed = _failure(job.end_reason, job.exit_code) if job.state is JobState.FAILED else ""
    end = max(settled_at, job.created_at)
    whole = Span("job", span_of(job.id), trace.parent, job.created_at, end, failed, _given(known))
    return trace, [whole, *_of_attempts(job, attempts, settled_at)]


def _of_attempts(job: Job, attempts: Sequence[Attempt], settled_at: float) -> Iterator[Span]:
    since = job.created_at
    for attempt in attempts:
        last = attempt is attempts[-1]
        ended = attempt.ended_at if attempt.ended_at is not None else settled_at
        started = attempt.started_at
        moments = [(Part.QUEUE, since, attempt.offered_at)]
        moments.append((Part.DISPATCH, attempt.offered_at, ended if started is None else started))
        if started is not None:
            moments.append((Part.RUN, started, ended))
        if last and attempt.state is AttemptState.ENDED:
            moments.append((Part.UPLOAD, ended, settled_at))
        reason = None if attempt.end_reason is None else attempt.end_reason.value
        for part, begun, over in moments:
            known: dict[str, object] = {"job.attempt": attempt.number, "agent.name": attempt.agent}
            if part is Part.RUN:
                known |= {"job.end_reason": reason, "job.exit_code": attempt.exit_code}
            if part is Part.UPLOAD:
                known["log.bytes"] = attempt.log_size
            bad = attempt.exit_code or attempt.end_reason is not EndReason.EXIT
            failed = _failure(attempt.end_reason, attempt.exit_code)
            yield Span(
                part.name.lower(),
                span_of(job.id, part, attempt.number),
                span_of(job.id),
                begun,
                max(begun, over),
                failed if part is Part.RUN and bad else "",
                _given(known),
            )
        since = ended


def submit_span(job: str, begun: float, committed: float) -> Span:
    """From the moment that the server had read a job to the one at which it was stored."""
    over = max(begun, committed)
    return Span("submit", span_of(job, Part.SUBMIT), span_of(job), begun, over, "", {"job.id": job})


def _failure(reason: EndReason | None, code: int | None) -> str:
    """Not the detail, which may quote the command."""
    words = "failed" if reason is None else reason.value
    return words if code is None else f"{words}, exit code {code}"


def _given(values: dict[str, object]) -> dict[str, str | int]:
    return {name: value for name, value in values.items() if isinstance(value, str | int)}
