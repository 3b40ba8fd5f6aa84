"""The states of a lease: the table, the diagram in the document, and what a session does."""

from __future__ import annotations

import pytest

from remote_protocol import messages as m
from remote_protocol.messages import Refusal
from remote_server.domain import events as ev
from remote_server.domain.held_lease import (
    LEASE_TRANSITIONS,
    HeldLease,
    LeaseEvent,
    LeaseState,
)
from tests.server.domain.talk import KEY, Talk, ended, lease
from tests.support.diagrams import changes, ends, table_arrows

TABLE = table_arrows(LEASE_TRANSITIONS)
HELD = [state for state in LeaseState if state is not LeaseState.GONE]


def test_the_diagram_in_the_document_is_the_table() -> None:
    assert changes("States of leases") == TABLE
    assert ends("States of leases") == {LeaseState.GONE}


def test_every_state_is_reached_and_only_gone_is_final() -> None:
    assert set(LEASE_TRANSITIONS) == set(LeaseState)
    assert {end for _, _, end in TABLE} == set(LeaseState) - {LeaseState.OFFERED}
    assert [state for state, row in LEASE_TRANSITIONS.items() if not row] == [LeaseState.GONE]
    assert {event for _, event, _ in TABLE} == set(LeaseEvent)


def held(state: LeaseState) -> Talk:
    """A session with one lease in this state."""
    talk = Talk().online()
    talk.offer()
    if state is not LeaseState.OFFERED:
        talk.say("accept", serial=1)
    if state in (LeaseState.RUNNING, LeaseState.ENDING):
        talk.say("started", pid=7, at=1.0)
    if state is LeaseState.ENDING:
        talk.hear(ended())
    assert talk.session.leases[KEY].state is state
    return talk


def tell(talk: Talk, event: LeaseEvent) -> list[ev.Effect]:
    match event:
        case LeaseEvent.ACCEPT:
            return talk.say("accept", serial=1)
        case LeaseEvent.REFUSE:
            return talk.say("refuse", serial=1, reason=Refusal.DISK)
        case LeaseEvent.START:
            return talk.say("started", pid=7, at=1.0)
        case LeaseEvent.END:
            return talk.hear(ended())
        case LeaseEvent.RESEND:
            return talk.do(ev.LogVerified(ended(size=9), 4, False))
        case LeaseEvent.SETTLE:
            return talk.do(ev.EndRecorded(KEY))
        case LeaseEvent.WITHDRAW:
            return talk.hear(m.Goodbye(reason="stopped"))
        case LeaseEvent.SUPERSEDE:
            return talk.do(ev.LeaseEnded(KEY, "given up"))


@pytest.mark.parametrize("event", LeaseEvent)
@pytest.mark.parametrize("state", HELD)
def test_a_session_does_what_the_table_says(state: LeaseState, event: LeaseEvent) -> None:
    talk = held(state)
    effects = tell(talk, event)
    found = talk.session.leases.get(KEY)
    now = LeaseState.GONE if found is None else found.state
    assert now is LEASE_TRANSITIONS[state].get(event, state)
    freed = any(isinstance(effect, ev.CapacityChanged) for effect in effects)
    assert freed or now is not LeaseState.GONE, "the dispatcher hears of a free place"


def test_an_event_that_a_state_does_not_have_changes_nothing() -> None:
    one = HeldLease(lease(), LeaseState.RUNNING)
    heard = [one.hear(event) for event in (LeaseEvent.WITHDRAW, LeaseEvent.END, LeaseEvent.END)]
    assert heard == [False, True, False]
    assert one.state == LeaseState.ENDING
