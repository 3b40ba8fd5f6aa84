"""What became of a job, and why, in words. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from remote_protocol.api.jobs import AttemptView, JobView
from remote_protocol.spec import CommandSpec, ContainerSpec, PythonSpec
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.model import Attempt
from remote_server.web.pages import kinds
from remote_server.web.pages.words import duration, sentence

_FAILED: Final = {
    EndReason.EXIT: "Failed",
    EndReason.SIGNAL: "Ended by a signal",
    EndReason.TIMEOUT: "Timed out",
    EndReason.MEMORY_LIMIT: "Reached its memory limit",
    EndReason.CANCELLED: "Cancelled",
    EndReason.LOST: "Lost",
    EndReason.REJECTED: "Rejected",
    EndReason.EXPIRED: "Expired",
    EndReason.SPAWN_ERROR: "Could not be started",
    EndReason.SECRET_MISSING: "A secret is missing",
}
_LED: Final = frozenset({EndReason.LOST, EndReason.REJECTED, EndReason.SPAWN_ERROR})
"""Reasons that their details do not name."""
_LONGEST_NAME: Final = 80


class Cause(NamedTuple):
    """A job's state in one sentence: `lead` on `agent`: `rest`."""

    lead: str
    agent: str | None
    rest: str
    more: str = ""
    """A further sentence; empty for none."""


def cause(job: JobView, now: float) -> Cause:
    """Why a job is as it is."""
    more = _before(job)
    if job.attention:
        more = sentence(job.attention)
    if job.state is JobState.QUEUED:
        lead = f"Waits for {duration(now - job.created_at.timestamp())}"
        return Cause(lead, None, job.pending_reason or "it is about to be assigned", more)
    if job.state is JobState.ASSIGNED:
        return Cause("Assigned", job.agent, job.pending_reason or "it has not started yet", more)
    if job.state is JobState.RUNNING:
        ran = now - (job.started_at.timestamp() if job.started_at else now)
        rest = "its cancel was asked for" if job.cancel_requested else _number(job)
        return Cause(f"Runs for {duration(ran)}", job.agent, rest, more)
    if job.state is JobState.SUCCEEDED:
        tries = f" in attempt {job.attempt}" if job.attempt > 1 else ""
        return Cause(f"Succeeded{tries}", job.agent, f"exit code 0{_after(job)}", more)
    if job.state is JobState.CANCELLED:
        detail = job.end_detail or "nobody said why"
        return Cause("Cancelled", job.agent, _bare(detail, "cancelled"), more)
    lead = _FAILED.get(job.end_reason or EndReason.EXIT, "Failed")
    return Cause(lead, job.agent, _failure(job) + _after(job), more)


def became(job: JobView) -> str:
    """What became of a job, in a list; empty when there is nothing to say yet."""
    if job.state in (JobState.QUEUED, JobState.ASSIGNED):
        return job.pending_reason or ""
    if job.state is JobState.CANCELLED:
        return job.end_detail or "cancelled"
    if job.state is JobState.FAILED:
        lead = _FAILED[job.end_reason].lower() + ": " if job.end_reason in _LED else ""
        return lead + _failure(job)
    if job.state is JobState.SUCCEEDED:
        return f"exit code 0 in attempt {job.attempt}" if job.attempt > 1 else "exit code 0"
    return "its cancel was asked for" if job.cancel_requested else _number(job)


def title(job: JobView) -> str:
    """What to call a job: its name, or the start of what it runs."""
    if job.name:
        return job.name
    text = " ".join(command_text(job).split())
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def command_text(job: JobView) -> str:
    """What a job runs, as somebody would write it."""
    if isinstance(job, CommandSpec):
        return job.script if job.script is not None else " ".join(job.command)
    if isinstance(job, PythonSpec):
        return shlex.join(["python", *job.words])
    if isinstance(job, ContainerSpec):
        return " ".join([job.image, *job.command])
    return kinds.words(job)


def waited(job: JobView) -> float | None:
    """Seconds from the submission to the first assignment, or until now; None: it is not known
    any more, because it was assigned several times."""
    if job.attempt > 1:
        return None
    until = job.assigned_at or job.started_at or job.ended_at or datetime.now(UTC)
    return max(0.0, (until - job.created_at).total_seconds())


def ran(job: JobView) -> float | None:
    """Seconds that the last attempt ran, or runs so far; None: it has not started."""
    if job.started_at is None:
        return None
    return max(0.0, ((job.ended_at or datetime.now(UTC)) - job.started_at).total_seconds())


def attempt_words(attempt: AttemptView) -> str:
    """How an attempt ended, or how far it is, in a word or two."""
    if attempt.state is AttemptState.ENDED and attempt.exit_code is not None:
        return f"exit code {attempt.exit_code}"
    if attempt.state is AttemptState.ENDED and attempt.end_reason is not None:
        return str(attempt.end_reason).replace("_", " ")
    return str(attempt.state)


def attempt_state(attempt: AttemptView | Attempt) -> str:
    """The state of an attempt as pages show it: that of a job that ended like it."""
    if attempt.state in (AttemptState.OFFERED, AttemptState.ACCEPTED):
        return "assigned"
    if attempt.state is AttemptState.WITHDRAWN or attempt.end_reason is EndReason.CANCELLED:
        return "cancelled"
    if attempt.state is not AttemptState.ENDED:
        return attempt.state.value
    exited = attempt.end_reason is EndReason.EXIT and attempt.exit_code == 0
    return "succeeded" if exited else "failed"


def _failure(job: JobView) -> str:
    code = "nothing more is known" if job.exit_code is None else f"exit code {job.exit_code}"
    if job.end_reason is EndReason.EXIT:
        return code
    return job.end_detail or code


def _after(job: JobView) -> str:
    seconds = ran(job)
    return "" if seconds is None else f", after {duration(seconds)}"


def _number(job: JobView) -> str:
    if job.attempt > 1 or job.max_attempts > 1:
        return f"attempt {job.attempt} of {job.max_attempts}"
    return ""


def _before(job: JobView) -> str:
    """How the attempt before the last one ended."""
    over = [one for one in job.attempts if one.number < job.attempt and one.end_reason]
    if job.state is JobState.QUEUED:
        over = [one for one in job.attempts if one.end_reason]
    if not over:
        return ""
    last = over[-1]
    detail = last.end_detail or attempt_words(last)
    if last.state is AttemptState.LOST:
        return f"Attempt {last.number} was lost: {detail}."
    return f"Attempt {last.number} on {last.agent} ended: {detail}."


def _bare(text: str, word: str) -> str:
    """The text without the word that stands before it already."""
    rest = text.removeprefix(word).lstrip(" :")
    return rest or text


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "attempt_state": attempt_state,
    "attempt_words": attempt_words,
    "became": became,
    "job_title": title,
    "ran": ran,
    "shell_words": shlex.join,
    "waited": waited,
}
