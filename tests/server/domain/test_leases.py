"""The server's view of an agent's leases, step by step, and the reconciliation of a hello."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase, Refusal, Verdict
from remote_protocol.states import AttemptState, EndReason
from remote_server.domain import events as ev
from remote_server.domain.events import Send
from remote_server.domain.leases import Leases
from tests.server.domain.talk import (
    JOB,
    KEY,
    OTHER_KEY,
    SPEC,
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


# Offers --------------------------------------------------------------------------------------


def test_an_offer_takes_its_place_and_is_sent(talk: Talk) -> None:
    assert sent(talk.offer()) == [m.Offer(attempt=AttemptId(JOB, 1), spec=SPEC, serial=1)]
    assert talk.session.leases[KEY].state is OFFERED


def test_a_confirmation_waits_for_the_commit(talk: Talk) -> None:
    talk.offer()
    effects = talk.say("accept", serial=1)
    confirm = ev.Send(m.Confirm(attempt=AttemptId(JOB, 1)))
    assert effects == [ev.Record(ev.Accepted(KEY, first=True), (confirm,))]


def test_a_repeated_acceptance_is_recorded_again(talk: Talk) -> None:
    # The first record may not be committed yet: only behind a commit may be confirmed.
    talk.offer()
    confirm = ev.Send(m.Confirm(attempt=KEY))
    for first in (True, False):
        assert talk.say("accept", serial=1) == [ev.Record(ev.Accepted(KEY, first), (confirm,))]


def test_the_answer_to_a_withdrawn_offer_is_not_that_to_the_next_one(talk: Talk) -> None:
    talk.offer()
    assert kinds(talk.do(ev.LeaseEnded(KEY, "not accepted in time"))) == ["superseded"]
    assert kinds(talk.offer()) == ["offer"]
    assert talk.say("accept", serial=1) == []
    assert talk.say("refuse", serial=1, reason=Refusal.PAUSED) == []
    assert kinds(talk.say("accept", serial=2)) == ["Accepted"]


def test_an_acceptance_that_comes_too_late_is_superseded(talk: Talk) -> None:
    assert kinds(talk.say("accept")) == ["superseded"]


@pytest.mark.parametrize(
    ("reason", "record"), [(Refusal.DISK, "Withdrawn"), (Refusal.POLICY, "Rejected")]
)
def test_a_refusal_frees_the_place(talk: Talk, reason: Refusal, record: str) -> None:
    talk.offer()
    effects = talk.say("refuse", serial=1, reason=reason, detail="sorry")
    assert kinds(effects) == [record]
    assert ev.CapacityChanged() in effects
    (made,) = records(effects)
    assert isinstance(made.change, ev.Withdrawn | ev.Rejected)
    assert "sorry" in made.change.detail
    assert not talk.session.leases


def test_a_refusal_of_what_was_accepted_loses_it(talk: Talk) -> None:
    talk.running()
    assert kinds(talk.say("refuse", serial=1, reason=Refusal.DISK)) == ["Lost"]
    assert talk.say("refuse", serial=1, reason=Refusal.DISK) == []


# Start and output ----------------------------------------------------------------------------


def test_a_start_is_recorded_once(talk: Talk) -> None:
    talk.offer()
    talk.say("accept", serial=1)
    assert talk.say("started", pid=7, at=1.5) == [ev.Record(ev.Running(KEY, 7, 1.5))]
    assert talk.say("started", pid=7, at=1.5) == []


def test_strangers_are_superseded(talk: Talk) -> None:
    assert kinds(talk.say("started", pid=7, at=1.5)) == ["superseded"]
    assert kinds(talk.hear(ended())) == ["superseded"]
    assert kinds(talk.chunk(0, 5, 0)) == ["superseded"]


@pytest.mark.parametrize(
    ("offset", "length", "effects"),
    [
        (0, 0, [ev.AppendLog(KEY, 0, ev.Send(m.Ack(attempt=AttemptId(JOB, 1), offset=10)))]),
        (5, 8, [ev.AppendLog(KEY, 3, ev.Send(m.Ack(attempt=AttemptId(JOB, 1), offset=15)))]),
        (0, 12, [ev.Send(m.Ack(attempt=AttemptId(JOB, 1), offset=12))]),
        (9, 4, [ev.Send(m.Rewind(attempt=AttemptId(JOB, 1), offset=4))]),
    ],
)
def test_a_chunk_goes_where_it_belongs(
    talk: Talk, offset: int, length: int, effects: list[ev.Effect]
) -> None:
    talk.running()
    assert talk.chunk(offset, 10, length) == effects


# The end -------------------------------------------------------------------------------------


def test_an_end_is_verified_then_committed_then_settled(talk: Talk) -> None:
    talk.running()
    assert talk.hear(ended(size=9)) == [ev.VerifyLog(ended(size=9))]
    assert talk.hear(ended(size=9)) == []
    (record,) = talk.do(ev.LogVerified(ended(size=9), 9, matches=True))
    assert record == ev.Record(
        ev.Finished(KEY, ended(size=9)), (ev.Send(m.Settled(attempt=AttemptId(JOB, 1))),)
    )
    assert KEY in talk.session.leases
    assert isinstance(record, ev.Record)
    assert talk.do(ev.ChangeRecorded(record.change)) == [ev.CapacityChanged()]
    assert KEY not in talk.session.leases
    assert talk.do(ev.ChangeRecorded(record.change)) == []


def test_a_short_log_is_rewound_to_its_length(talk: Talk) -> None:
    talk.running()
    talk.hear(ended(size=9))
    assert sent(talk.do(ev.LogVerified(ended(size=9), 4, matches=False))) == [
        m.Rewind(attempt=AttemptId(JOB, 1), offset=4)
    ]
    assert talk.hear(ended(size=9)) == [], "said before the rewind was read"
    talk.chunk(4, 5, length=4)
    assert kinds(talk.hear(ended(size=9))) == ["VerifyLog"]


def test_a_damaged_log_comes_again_from_the_start(talk: Talk) -> None:
    talk.running()
    talk.hear(ended(size=9))
    assert talk.do(ev.LogVerified(ended(size=9), 9, matches=False)) == [
        ev.Send(m.Rewind(attempt=AttemptId(JOB, 1), offset=0)),
    ]
    assert talk.chunk(0, 9, length=9) == [
        ev.TruncateLog(KEY, 0),
        ev.AppendLog(KEY, 0, ev.Send(m.Ack(attempt=AttemptId(JOB, 1), offset=9))),
    ]


def test_what_the_agent_misses_is_heard_for_its_own_attempts_only(talk: Talk) -> None:
    assert kinds(talk.say("missing", offset=4)) == ["superseded"]
    talk.running()
    assert talk.say("missing", offset=4) == [ev.FillLog(KEY, 4)]
    talk.do(ev.StoreFailed(KEY))
    assert talk.say("missing", offset=4) == []


def test_a_torn_log_is_settled_once(talk: Talk) -> None:
    talk.running()
    for _ in range(2):
        talk.say("missing", offset=4)
        talk.chunk(4, 5, length=9)
        talk.hear(ended(size=9))
        effects = talk.do(ev.LogVerified(ended(size=9), 9, matches=False))
    assert kinds(effects) == ["Finished"]
    assert talk.hear(ended(size=9)) == [], "its end is being committed"


def test_a_resync_forgets_what_was_asked_for(talk: Talk) -> None:
    talk.running()
    talk.chunk(5, 4, length=0)
    assert talk.hear(ended(size=9)) == []
    held = lease(RUNNING)
    talk.hello(item(Phase.ENDED, size=9), leases=(held,), lengths={KEY: 9})
    assert kinds(talk.hear(ended(size=9))) == ["VerifyLog"]


def test_a_longer_log_whose_start_agrees_is_kept(talk: Talk) -> None:
    talk.running()
    talk.hear(ended(size=9))
    assert kinds(talk.do(ev.LogVerified(ended(size=9), 12, matches=True))) == ["Finished"]


def test_an_old_verification_is_nothing(talk: Talk) -> None:
    talk.running()
    assert talk.do(ev.LogVerified(ended(size=9), 9, matches=False)) == []
    talk.hear(ended(size=9))
    talk.do(ev.StoreFailed(KEY))
    assert talk.do(ev.LogVerified(ended(size=9), 9, matches=True)) == []


def test_what_is_ending_is_not_counted_as_open(talk: Talk) -> None:
    talk.running()
    talk.hear(ended())
    (ack,) = sent(talk.hear(m.Heartbeat(seq=1)))
    assert isinstance(ack, m.HeartbeatAck)
    assert ack.leases == 0


# What the store and the sweeper say ----------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [ev.Accepted(KEY), ev.Running(KEY, 7, 1.0), ev.Finished(KEY, ended()), ev.Returned(KEY)],
)
def test_what_the_store_calls_stale_is_superseded(talk: Talk, change: ev.Change) -> None:
    talk.running()
    effects = talk.do(ev.ChangeRefused(change))
    assert kinds(effects) == ["superseded"]
    assert ev.CapacityChanged() in effects
    assert not talk.session.leases


def test_a_withdrawal_that_fails_asks_for_the_truth(talk: Talk) -> None:
    assert kinds(talk.do(ev.ChangeRefused(ev.Withdrawn(KEY, "")))) == ["resync"]


@pytest.mark.parametrize("change", [ev.Lost(KEY, ""), ev.Rejected(KEY, "")])
def test_what_is_over_already_stays_over(talk: Talk, change: ev.Change) -> None:
    assert talk.do(ev.ChangeRefused(change)) == []


def test_a_lease_that_the_server_gave_up_is_superseded(talk: Talk) -> None:
    talk.running()
    effects = talk.do(ev.LeaseEnded(KEY, "lost"))
    assert sent(effects) == [m.Superseded(attempt=AttemptId(JOB, 1), detail="lost")]
    assert not talk.session.leases


# Hello ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("state", [OFFERED, ACCEPTED, RUNNING])
def test_what_is_held_and_leased_is_kept(phase: Phase, state: AttemptState) -> None:
    talk = Talk()
    effects = talk.hello(item(phase), leases=(lease(state),), lengths={KEY: 5})
    assert verdicts(effects) == [(KEY, Verdict.KEEP, 5)]
    assert records(effects) == []
    assert set(talk.session.leases) == {KEY}


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
    assert talk.session.leases[KEY].state is RUNNING


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


def test_cancels_are_said_again_behind_the_welcome() -> None:
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
    talk.hear(ended())
    talk.hello(item(Phase.ENDED), leases=(lease(RUNNING),))
    assert kinds(talk.hear(ended())) == ["VerifyLog"]


def test_two_attempts_are_ruled_apart() -> None:
    effects = Talk().hello(
        item(Phase.RUNNING), item(Phase.ENDED, OTHER_KEY), leases=(lease(RUNNING),)
    )
    assert verdicts(effects) == [(KEY, Verdict.KEEP, 0), (OTHER_KEY, Verdict.SUPERSEDED, 0)]


def test_an_offer_bounds_the_log_of_its_job() -> None:
    leases = Leases(max_log=10_000)

    def offered(**fields: Any) -> int | None:
        (said,) = leases.offer(replace(lease(), spec=SPEC.model_copy(update=fields)))
        assert isinstance(said, Send)
        assert isinstance(said.message, m.Offer)
        return said.message.spec.max_log

    assert [offered(), offered(max_log=5_000), offered(max_log=50_000)] == [10_000, 5_000, 10_000]
    # What is stored stays what was asked for.
    assert leases.live[KEY].spec.max_log == 50_000
