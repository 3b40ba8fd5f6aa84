"""When the server gives up: by silence, by time held, by the job's own policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.expiry import LeaseAction, Limits, Seen, judge, offer_ttl
from remote_server.domain.model import LiveLease

TTL = 45.0
LEASE = LiveLease(AttemptId("j", 1), "a", AttemptState.RUNNING, 600.0, None, 10.0, False)
ACCEPTED = replace(LEASE, state=AttemptState.ACCEPTED)


def given(
    lease: LiveLease,
    silence: float,
    linked: bool,
    held: float,
    idle: float = 0.0,
    unanswered: bool = False,
) -> LeaseAction:
    return judge(lease, Seen(silence, linked, held, idle, unanswered), Limits(TTL, 60.0))


def test_silence_counts_against_the_jobs_own_policy() -> None:
    assert given(LEASE, 599, False, 9999) is LeaseAction.KEEP
    assert given(LEASE, 600, False, 9999) is LeaseAction.LOSE
    patient = replace(LEASE, lost_after=86400.0)
    assert given(patient, 80_000, False, 80_000) is LeaseAction.KEEP
    assert given(ACCEPTED, 600, False, 600) is LeaseAction.LOSE


def test_an_open_link_may_be_silent_between_heartbeats() -> None:
    hasty = replace(LEASE, lost_after=1.0)
    assert given(hasty, 20, True, 99) is LeaseAction.KEEP
    assert given(hasty, 45, True, 99) is LeaseAction.LOSE
    assert given(hasty, 1, False, 99) is LeaseAction.LOSE


def test_an_offer_is_taken_back_when_it_cannot_be_accepted_any_more() -> None:
    offer = replace(LEASE, state=AttemptState.OFFERED, lost_after=1.0)
    assert given(offer, 9999, True, TTL + 14.9, unanswered=True) is LeaseAction.KEEP
    assert given(offer, 0, True, TTL + 15, unanswered=True) is LeaseAction.WITHDRAW


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize(
    ("silence", "held", "idle"), [(0, 9999, 9999), (599, 30, 30), (600, 30, 30), (0, 61, 61)]
)
def test_an_offer_that_may_have_been_accepted_is_judged_as_if_it_was(
    linked: bool, silence: float, held: float, idle: float
) -> None:
    """Its acceptance may be confirmed and not committed."""
    offer = replace(LEASE, state=AttemptState.OFFERED)
    action = given(offer, silence, linked, held, idle)
    assert action is given(ACCEPTED, silence, linked, held, idle)
    assert action is not LeaseAction.WITHDRAW


def test_a_cancelled_offer_of_a_silent_agent_does_not_wait_for_ever() -> None:
    offer = replace(LEASE, state=AttemptState.OFFERED, cancel_requested=True)
    assert given(offer, 69, False, 69) is LeaseAction.KEEP
    assert given(offer, 70, False, 70) is LeaseAction.LOSE


def test_a_cancelled_job_of_a_silent_agent_does_not_wait_for_ever() -> None:
    cancelled = replace(LEASE, cancel_requested=True)
    assert given(cancelled, 69, False, 99) is LeaseAction.KEEP
    assert given(cancelled, 70, False, 99) is LeaseAction.LOSE
    hasty = replace(cancelled, lost_after=5.0)
    assert given(hasty, 5, False, 99) is LeaseAction.LOSE
    assert given(hasty, 5, True, 99) is LeaseAction.KEEP


def test_a_timeout_is_enforced_beyond_the_agents_own_doing() -> None:
    limited = replace(LEASE, timeout=100.0)
    assert given(limited, 0, True, 139) is LeaseAction.KEEP
    assert given(limited, 0, True, 140) is LeaseAction.TIMEOUT
    assert given(replace(limited, overdue=True), 0, True, 0) is LeaseAction.TIMEOUT
    assert given(replace(limited, cancel_requested=True), 0, True, 140) is LeaseAction.KEEP
    # An agent that comes and goes is silent for a short time only, yet some day it is enough.
    assert given(limited, 30, False, 709) is LeaseAction.KEEP
    assert given(limited, 30, False, 710) is LeaseAction.LOSE


def test_the_time_to_live_grows_with_the_fleet() -> None:
    assert offer_ttl(45.0, 100) == 45.0
    assert offer_ttl(45.0, 10_000) == 150.0


def test_an_accepted_job_must_be_started() -> None:
    assert given(ACCEPTED, 0, True, 59, 59) is LeaseAction.KEEP
    assert given(ACCEPTED, 0, True, 60, 60) is LeaseAction.HURRY
    assert given(ACCEPTED, 0, True, 90, 90) is LeaseAction.LOSE
    # A user's wish to cancel it does not hold it for ever either.
    assert given(replace(ACCEPTED, cancel_requested=True), 0, True, 90, 90) is LeaseAction.LOSE
    assert given(LEASE, 0, True, 9999, 9999) is LeaseAction.KEEP


def test_a_long_queue_on_a_slow_agent_is_no_reason() -> None:
    assert given(ACCEPTED, 0, True, 500, 2) is LeaseAction.KEEP
    # Yet one that all others overtake does not wait for ever.
    assert given(ACCEPTED, 0, True, 600, 2) is LeaseAction.HURRY
    assert given(ACCEPTED, 0, True, 630, 2) is LeaseAction.LOSE


def test_an_agent_that_is_away_cannot_be_asked_to_start() -> None:
    assert given(ACCEPTED, 30, False, 659, 659) is LeaseAction.KEEP
    assert given(ACCEPTED, 30, False, 660, 660) is LeaseAction.LOSE
