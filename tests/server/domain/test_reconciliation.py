"""What a hello makes of an agent's leases."""

from __future__ import annotations

import pytest

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase, Verdict
from remote_protocol.states import AttemptState, EndReason
from remote_server.domain import changes as ch
from remote_server.domain import events as ev
from remote_server.domain.held_lease import LeaseState
from tests.server.domain.talk import (
    KEY,
    OTHER_KEY,
    Talk,
    ended,
    item,
    kinds,
    lease,
    sent,
    welcome_of,
)

ACCEPTED, RUNNING, OFFERED = AttemptState.ACCEPTED, AttemptState.RUNNING, AttemptState.OFFERED
RETURNING = lease(AttemptState.LOST, may_return=True)


@pytest.fixture
def talk() -> Talk:
    return Talk().online()


def records(effects: list[ev.Effect]) -> list[ev.Record]:
    return [effect for effect in effects if isinstance(effect, ev.Record)]


def verdicts(effects: list[ev.Effect]) -> list[tuple[AttemptId, Verdict, int]]:
    return [(r.attempt, r.verdict, r.offset) for r in welcome_of(effects).rulings]


# Hello ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        *((phase, state) for phase in Phase for state in (OFFERED, ACCEPTED)),
        (Phase.RUNNING, RUNNING),
        (Phase.ENDED, RUNNING),
    ],
)
def test_what_is_held_and_leased_is_kept(phase: Phase, state: AttemptState) -> None:
    talk = Talk()
    effects = talk.hello(item(phase), leases=(lease(state),), lengths={KEY: 5})
    assert verdicts(effects) == [(KEY, Verdict.KEEP, 5)]
    # None of the log of what has not started can have come.
    accepted = ev.Record(ch.Accepted(KEY, first=phase is Phase.ACCEPTED))
    assert records(effects) == ([accepted] if state is OFFERED else [])
    assert set(talk.session.leases) == {KEY}


def test_what_has_started_is_not_started_again() -> None:
    """Its agent, or a restored database, has forgotten something."""
    talk = Talk()
    effects = talk.hello(item(Phase.ACCEPTED), leases=(lease(RUNNING),))
    assert verdicts(effects) == [(KEY, Verdict.SUPERSEDED, 0)]
    (record,) = records(effects)
    assert isinstance(record.change, ch.Lost)
    assert not talk.session.leases


def test_what_runs_is_left_alone() -> None:
    talk = Talk()
    effects = talk.hello(item(Phase.RUNNING, size=7), left_alone=frozenset({KEY}))
    assert (verdicts(effects), records(effects)) == ([(KEY, Verdict.KEEP, 7)], [])
    assert not talk.session.leases
    assert talk.say("accept") == talk.say("started", pid=7, at=1.5) == []
    (ack,) = sent(talk.hear(m.Heartbeat(seq=1)))
    assert isinstance(ack, m.HeartbeatAck)
    assert ack.leases == 1, "or its agent says hello again and again"
    # Or more than a window of its log would keep it from its end.
    assert sent(talk.chunk(7, 5, 0)) == [m.Ack(attempt=KEY, offset=12)]
    assert sent(talk.hear(ended(size=12))) == [m.Settled(attempt=KEY)]
    (ack,) = sent(talk.hear(m.Heartbeat(seq=2)))
    assert isinstance(ack, m.HeartbeatAck)
    assert ack.leases == 0
    assert kinds(talk.hear(ended(size=12))) == ["superseded"]


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [(Phase.ACCEPTED, Verdict.SUPERSEDED), (Phase.ENDED, Verdict.SETTLED)],
)
def test_what_does_not_run_is_not_left_alone(phase: Phase, verdict: Verdict) -> None:
    effects = Talk().hello(item(phase), left_alone=frozenset({KEY}))
    assert (verdicts(effects), records(effects)) == ([(KEY, verdict, 0)], [])


def test_what_is_not_leased_is_superseded() -> None:
    assert verdicts(Talk().hello(item(Phase.RUNNING))) == [(KEY, Verdict.SUPERSEDED, 0)]


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [(Phase.ENDED, Verdict.SETTLED), (Phase.RUNNING, Verdict.SUPERSEDED)],
)
def test_what_is_committed_as_ended(phase: Phase, verdict: Verdict) -> None:
    effects = Talk().hello(item(phase), ended=frozenset({KEY}))
    assert verdicts(effects) == [(KEY, verdict, 0)]


@pytest.mark.parametrize(
    ("state", "record"), [(OFFERED, "Withdrawn"), (ACCEPTED, "Lost"), (RUNNING, "Lost")]
)
def test_what_a_new_link_lacks(state: AttemptState, record: str) -> None:
    talk = Talk()
    effects = talk.hello(leases=(lease(state),))
    assert kinds(effects) == [record, "welcome"]
    assert not talk.session.leases


def test_an_offer_of_this_link_may_be_on_its_way(talk: Talk) -> None:
    talk.offer()
    effects = talk.hello(leases=(lease(),))
    assert kinds(effects) == ["welcome", "offer"]
    assert kinds(talk.say("accept", serial=1)) == ["Accepted"]


def test_an_offer_before_the_hello_follows_the_welcome() -> None:
    talk = Talk()
    talk.offer()
    assert kinds(talk.hello()) == ["welcome", "offer"]
    assert set(talk.session.leases) == {KEY}


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.ENDED])
def test_a_welcome_return(phase: Phase) -> None:
    talk = Talk()
    effects = talk.hello(item(phase), leases=(RETURNING,), lengths={KEY: 4})
    assert kinds(effects) == ["Returned", "welcome"]
    assert verdicts(effects) == [(KEY, Verdict.KEEP, 4)]
    assert talk.session.leases[KEY].state is LeaseState.RUNNING


def test_what_never_started_does_not_return() -> None:
    effects = Talk().hello(item(Phase.ACCEPTED), leases=(RETURNING,))
    assert kinds(effects) == ["welcome"]
    assert verdicts(effects) == [(KEY, Verdict.SUPERSEDED, 0)]


def test_what_was_just_given_up_does_not_return(talk: Talk) -> None:
    # The agent kills it when it reads the superseded that stands before the welcome.
    talk.running()
    talk.do(ev.LeaseEnded(KEY, "lost"))
    effects = talk.hello(item(Phase.RUNNING), leases=(RETURNING,))
    assert verdicts(effects) == [(KEY, Verdict.SUPERSEDED, 0)]
    again = talk.hello(item(Phase.RUNNING), leases=(RETURNING,))
    assert verdicts(again) == [(KEY, Verdict.KEEP, 0)]


def test_what_may_return_and_does_not_is_left_alone() -> None:
    assert kinds(Talk().hello(leases=(RETURNING,))) == ["welcome"]


def test_cancels_are_said_again_after_the_welcome() -> None:
    wished = lease(RUNNING, cancel_requested=True, cancel_detail="enough")
    effects = Talk().hello(item(Phase.RUNNING), leases=(wished,))
    assert kinds(effects) == ["welcome", "cancel"]
    cancel = sent(effects)[-1]
    assert isinstance(cancel, m.Cancel)
    assert (cancel.reason, cancel.detail) == (EndReason.CANCELLED, "enough")


def test_an_enforced_timeout_is_said_again_as_one() -> None:
    wished = lease(RUNNING, cancel_requested=True, cancel_reason=EndReason.TIMEOUT)
    effects = Talk().hello(item(Phase.RUNNING), leases=(wished,))
    cancel = sent(effects)[-1]
    assert isinstance(cancel, m.Cancel)
    assert cancel.reason is EndReason.TIMEOUT


def test_the_first_wish_gives_the_reason(talk: Talk) -> None:
    talk.running()
    talk.do(ev.CancelWished(KEY, EndReason.TIMEOUT, "too long"))
    (cancel,) = sent(talk.do(ev.CancelWished(KEY, EndReason.CANCELLED, "by a user")))
    assert isinstance(cancel, m.Cancel)
    assert (cancel.reason, cancel.detail) == (EndReason.TIMEOUT, "too long")


def test_a_cancel_before_the_hello_follows_the_offer() -> None:
    # Found by the simulation: the inventory cannot hold what was not offered yet.
    talk = Talk()
    talk.offer()
    talk.do(ev.CancelWished(KEY, EndReason.TIMEOUT, ""))
    effects = talk.hello(leases=(lease(cancel_requested=True),))
    assert kinds(effects) == ["welcome", "offer", "cancel"]
    cancel = sent(effects)[-1]
    assert isinstance(cancel, m.Cancel)
    assert cancel.reason is EndReason.TIMEOUT


def test_a_hello_forgets_what_was_under_way(talk: Talk) -> None:
    talk.running()
    talk.hear(ended(size=9))
    talk.hello(item(Phase.ENDED), leases=(lease(RUNNING),))
    assert kinds(talk.hear(ended(size=9))) == ["VerifyLog"]


def test_two_attempts_are_ruled_apart() -> None:
    effects = Talk().hello(
        item(Phase.RUNNING), item(Phase.ENDED, OTHER_KEY), leases=(lease(RUNNING),)
    )
    assert verdicts(effects) == [(KEY, Verdict.KEEP, 0), (OTHER_KEY, Verdict.SUPERSEDED, 0)]


# Acceptances that were confirmed before their commit --------------------------------------------


@pytest.mark.parametrize("phase", Phase)
def test_what_an_agent_has_is_not_withdrawn_because_the_database_calls_it_offered(
    phase: Phase,
) -> None:
    """The server may have died between the confirmation and the commit: the job may run."""
    for end in (ev.LinkClosed(), ev.MessageReceived(m.Goodbye(reason="stopped"))):
        talk = Talk()
        talk.hello(item(phase), leases=(lease(OFFERED),))
        assert not talk.session.unanswered(KEY)
        assert records(talk.do(end)) == []


def test_it_goes_on_once_its_acceptance_is_recorded() -> None:
    talk = Talk()
    effects = talk.hello(item(Phase.RUNNING), leases=(lease(OFFERED),), lengths={KEY: 3})
    assert kinds(effects) == ["Accepted", "welcome"]
    assert kinds(talk.say("started", pid=7, at=1.0)) == ["Running"]
    (ack,) = sent(talk.hear(m.Heartbeat(seq=1)))
    assert isinstance(ack, m.HeartbeatAck)
    assert ack.leases == 1


@pytest.mark.parametrize("state", [OFFERED, ACCEPTED, RUNNING])
def test_what_another_installation_may_have_accepted_is_lost(state: AttemptState) -> None:
    talk = Talk()
    (record,) = records(talk.hello(leases=(lease(state),), moved=True))
    assert isinstance(record.change, ch.Lost)
    assert not talk.session.leases
