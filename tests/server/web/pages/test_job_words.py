"""What became of a job, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remote_protocol.api.jobs import AttemptView, JobView
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.model import Attempt, Job
from remote_server.queries.views import job_view
from remote_server.web.pages.job_words import (
    Cause,
    attempt_state,
    attempt_words,
    became,
    cause,
    ran,
    title,
    waited,
)
from tests.support.stored import NOW, spec

MADE = datetime.fromtimestamp(NOW, UTC)


def shown(**fields: Any) -> JobView:
    """A job's view with these fields."""
    own = {name: fields.pop(name) for name in ("command", "max_attempts", "name") if name in fields}
    state = JobState(fields.pop("state"))
    if "end_reason" in fields:
        fields["end_reason"] = EndReason(fields["end_reason"])
    view = job_view(Job("01M8C0WSYRKNM5MZY0AKZDWVS1", spec(**own), state, NOW))
    return view.model_copy(update={"created_at": MADE, **fields})


def attempt(number: int, **fields: Any) -> AttemptView:
    return AttemptView.model_validate(
        {"number": number, "state": "ended", "agent": "b", "offered_at": MADE, **fields}
    )


def test_a_job_that_waits_says_for_how_long_and_why() -> None:
    job = shown(state="queued", pending_reason="queue 'gpu' is paused")
    assert cause(job, NOW + 90) == Cause(
        "Waits for 1\u00a0min 30\u00a0s", None, "queue 'gpu' is paused"
    )
    assert became(job) == "queue 'gpu' is paused"
    assert waited(job) is not None
    assert ran(job) is None


def test_what_was_before_is_told_too() -> None:
    lost = attempt(
        1, state="lost", end_reason="lost", end_detail="the agent 'b' was silent for 10m"
    )
    job = shown(
        state="succeeded",
        attempt=2,
        agent="a",
        exit_code=0,
        end_reason="exit",
        started_at=MADE,
        ended_at=MADE + timedelta(seconds=4),
        attempts=[lost, attempt(2, end_reason="exit", exit_code=0)],
    )
    found = cause(job, NOW)
    assert found[:3] == ("Succeeded in attempt 2", "a", "exit code 0, after 4\u00a0s")
    assert found.more == "Attempt 1 was lost: the agent 'b' was silent for 10m."
    assert became(job) == "exit code 0 in attempt 2"
    assert waited(job) is None


@pytest.mark.parametrize(
    ("reason", "code", "detail", "lead", "rest", "listed"),
    [
        ("exit", 78, "exited with code 78", "Failed", "exit code 78", "exit code 78"),
        ("timeout", 143, "timeout of 4s reached", "Timed out", *["timeout of 4s reached"] * 2),
        ("signal", 137, "killed by SIGKILL", "Ended by a signal", *["killed by SIGKILL"] * 2),
        ("lost", None, "it was silent", "Lost", "it was silent", "lost: it was silent"),
        ("spawn_error", 127, "no x", "Could not be started", "no x", "could not be started: no x"),
        ("secret_missing", None, "no secret X", "A secret is missing", *["no secret X"] * 2),
    ],
)
def test_each_reason_of_a_failure_has_its_words(
    reason: str, code: int | None, detail: str, lead: str, rest: str, listed: str
) -> None:
    job = shown(state="failed", agent="a", exit_code=code, end_reason=reason, end_detail=detail)
    assert cause(job, NOW) == Cause(lead, "a", rest)
    assert became(job) == listed


def test_a_job_that_runs_or_was_cancelled() -> None:
    job = shown(state="running", agent="a", attempt=2, max_attempts=3, started_at=MADE)
    assert cause(job, NOW + 5)[:3] == ("Runs for 5\u00a0s", "a", "attempt 2 of 3")
    leaving = job.model_copy(update={"cancel_requested": True, "attention": "it is away"})
    assert cause(leaving, NOW + 5)[2:] == ("its cancel was asked for", "It is away.")
    over = shown(state="cancelled", end_detail="cancelled by jonas: wrong input")
    assert cause(over, NOW).rest == "by jonas: wrong input"
    assert became(over) == "cancelled by jonas: wrong input"


def test_a_job_without_a_name_is_called_by_what_it_runs() -> None:
    assert title(shown(state="queued", name="nightly")) == "nightly"
    assert title(shown(state="queued", command=["echo", "a\nb"])) == "echo a b"
    assert len(title(shown(state="queued", command=["x" * 500]))) == 80
    python = {
        **shown(state="queued").model_dump(),
        "kind": "python",
        "module": "a",
        "args": ["b c"],
    }
    assert title(JobView.model_validate(python)) == "python -m a 'b c'"


def test_attempts_have_a_word_and_a_colour() -> None:
    ended = attempt(1, end_reason="exit", exit_code=3)
    assert (attempt_words(ended), attempt_state(ended)) == ("exit code 3", "failed")
    fine = attempt(1, end_reason="exit", exit_code=0)
    assert (attempt_words(fine), attempt_state(fine)) == ("exit code 0", "succeeded")
    held = attempt(1, state="accepted")
    assert (attempt_words(held), attempt_state(held)) == ("accepted", "assigned")
    gone = attempt(1, end_reason="cancelled")
    assert (attempt_words(gone), attempt_state(gone)) == ("cancelled", "cancelled")


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"exit_code": 0, "end_reason": EndReason.EXIT}, "succeeded"),
        ({"exit_code": 0, "end_reason": EndReason.TIMEOUT}, "failed"),
        ({"exit_code": 1, "end_reason": EndReason.EXIT}, "failed"),
        ({"end_reason": EndReason.SIGNAL}, "failed"),
        ({"end_reason": EndReason.CANCELLED}, "cancelled"),
        ({"state": AttemptState.ACCEPTED}, "assigned"),
        ({"state": AttemptState.RUNNING}, "running"),
        ({"state": AttemptState.LOST, "end_reason": EndReason.LOST}, "lost"),
        ({"state": AttemptState.WITHDRAWN}, "cancelled"),
    ],
)
def test_states_of_attempts_tell_how_they_ended(fields: dict[str, Any], state: str) -> None:
    given = {"state": AttemptState.ENDED, **fields}
    assert (
        attempt_state(Attempt("01M8C0WSYRKNM5MZY0AKZDWVS1", 1, "b", offered_at=NOW, **given))
        == state
    )
    assert attempt_state(attempt(1, **given)) == state
