"""When the server gives up: by silence, by time held, by the job's own policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remote_protocol.states import AttemptState
from remote_server.domain.expiry import Verdict, judge, offer_ttl
from remote_server.domain.model import Key, LiveLease

TTL = 45.0
LEASE = LiveLease(Key("j", 1), "a", AttemptState.RUNNING, 600.0, None, 10.0, False)


def test_silence_counts_against_the_jobs_own_policy() -> None:
    assert judge(LEASE, 599, False, 9999, TTL) is Verdict.KEEP
    assert judge(LEASE, 600, False, 9999, TTL) is Verdict.LOSE
    patient = replace(LEASE, lost_after=86400.0)
    assert judge(patient, 80_000, False, 80_000, TTL) is Verdict.KEEP
    accepted = replace(LEASE, state=AttemptState.ACCEPTED)
    assert judge(accepted, 600, False, 600, TTL) is Verdict.LOSE


def test_an_open_link_may_be_silent_between_heartbeats() -> None:
    hasty = replace(LEASE, lost_after=1.0)
    assert judge(hasty, 20, True, 99, TTL) is Verdict.KEEP
    assert judge(hasty, 45, True, 99, TTL) is Verdict.LOSE
    assert judge(hasty, 1, False, 99, TTL) is Verdict.LOSE


@pytest.mark.parametrize("linked", [True, False])
def test_an_offer_is_taken_back_when_it_cannot_be_accepted_any_more(linked: bool) -> None:
    offer = replace(LEASE, state=AttemptState.OFFERED, lost_after=1.0)
    assert judge(offer, 9999, linked, TTL + 14.9, TTL) is Verdict.KEEP
    assert judge(offer, 0, linked, TTL + 15, TTL) is Verdict.WITHDRAW


def test_a_cancelled_job_of_a_silent_agent_does_not_wait_for_ever() -> None:
    cancelled = replace(LEASE, cancel_requested=True)
    assert judge(cancelled, 69, False, 99, TTL) is Verdict.KEEP
    assert judge(cancelled, 70, False, 99, TTL) is Verdict.FINALISE
    hasty = replace(cancelled, lost_after=5.0)
    assert judge(hasty, 5, False, 99, TTL) is Verdict.FINALISE
    assert judge(hasty, 5, True, 99, TTL) is Verdict.KEEP


def test_a_timeout_is_enforced_beyond_the_agents_own_doing() -> None:
    limited = replace(LEASE, timeout=100.0)
    assert judge(limited, 0, True, 139, TTL) is Verdict.KEEP
    assert judge(limited, 0, True, 140, TTL) is Verdict.TIMEOUT
    assert judge(replace(limited, overdue=True), 0, True, 0, TTL) is Verdict.TIMEOUT
    assert judge(replace(limited, cancel_requested=True), 0, True, 140, TTL) is Verdict.KEEP
    # An agent that comes and goes is silent for a short time only, yet some day it is enough.
    assert judge(limited, 30, False, 709, TTL) is Verdict.KEEP
    assert judge(limited, 30, False, 710, TTL) is Verdict.LOSE


def test_the_time_to_live_grows_with_the_fleet() -> None:
    assert offer_ttl(45.0, 100) == 45.0
    assert offer_ttl(45.0, 10_000) == 150.0
