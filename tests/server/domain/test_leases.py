"""The server's view of an agent's leases, step by step, and the reconciliation of a hello."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import WrittenOffer, confirm, decode_from_server, encode, settled
from remote_protocol.messages import Phase, Refusal, Verdict
from remote_protocol.states import AttemptState
from remote_server.domain import changes as ch
from remote_server.domain import events as ev
from remote_server.domain.events import Send
from remote_server.domain.held_lease import LeaseState
from remote_server.domain.leases import Leases
from tests.server.domain.talk import (
    JOB,
    KEY,
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
    assert talk.session.leases[KEY].state is LeaseState.OFFERED


def test_a_confirmation_waits_for_the_commit(talk: Talk) -> None:
    talk.offer()
    effects = talk.say("accept", serial=1)
    confirmed = ev.Send(confirm(KEY))
    assert effects == [ev.Record(ch.Accepted(KEY, first=True), (confirmed,))]


def test_a_repeated_acceptance_is_recorded_again(talk: Talk) -> None:
    # The first record may not be committed yet: only after a commit may be confirmed.
    talk.offer()
    confirmed = ev.Send(confirm(KEY))
    for first in (True, False):
        assert talk.say("accept", serial=1) == [ev.Record(ch.Accepted(KEY, first), (confirmed,))]


def test_an_acceptance_is_confirmed_with_the_jobs_secrets() -> None:
    leases = Leases()
    spec = SPEC.model_copy(update={"secrets": ["A", "B"], "queue": "berlin"})
    leases.offer(replace(lease(), spec=spec))
    wanted = ev.ConfirmWithSecrets(KEY, ("A", "B"), "berlin")
    for first in (True, False):
        said = leases.accepted(m.Accept(attempt=KEY, serial=1))
        assert said == [ev.Record(ch.Accepted(KEY, first), (wanted,))]


def test_the_answer_to_a_withdrawn_offer_is_not_that_to_the_next_one(talk: Talk) -> None:
    talk.offer()
    assert kinds(talk.do(ev.LeaseEnded(KEY, "not accepted in time"))) == ["superseded"]
    assert kinds(talk.offer()) == ["offer"]
    assert talk.say("accept", serial=1) == []
    assert talk.say("refuse", serial=1, reason=Refusal.PAUSED) == []
    assert kinds(talk.say("accept", serial=2)) == ["Accepted"]


def test_an_acceptance_of_a_doubted_offer_waits_for_the_hello(talk: Talk) -> None:
    talk.offer()
    talk.do(ev.StoreFailed(KEY))
    assert kinds(talk.do(ev.StoreRecovered())) == ["resync"]
    # On its way before the agent heard of that. What it is told now would come after the resync.
    assert talk.say("accept", serial=1) == []
    assert kinds(talk.offer()) == ["offer"], "it was not stored, so its number is given again"
    effects = talk.hello(item(Phase.ACCEPTED), leases=(lease(OFFERED),))
    assert kinds(effects) == ["Accepted", "welcome"]
    assert kinds(talk.say("accept", serial=2)) == ["Accepted"]


def test_a_doubted_offer_that_is_stored_after_all_is_accepted_by_the_hello(talk: Talk) -> None:
    talk.offer()
    talk.do(ev.StoreFailed(KEY))
    talk.do(ev.StoreRecovered())
    assert talk.say("accept", serial=1) == []
    talk.hello(item(Phase.ACCEPTED), leases=(lease(OFFERED),))
    (confirmed,) = records(talk.say("accept", serial=1))
    assert confirmed.then == (ev.Send(confirm(KEY)),)


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
    assert isinstance(made.change, ch.Withdrawn | ch.Rejected)
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
    assert talk.say("started", pid=7, at=1.5) == [ev.Record(ch.Running(KEY, 7, 1.5))]
    assert talk.say("started", pid=7, at=1.5) == []


def test_unknown_attempts_are_superseded(talk: Talk) -> None:
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
    assert record == ev.Record(ch.Finished(KEY, ended(size=9)), (ev.Send(settled(KEY)),))
    assert KEY in talk.session.leases
    assert isinstance(record, ev.Record)
    assert talk.do(ev.EndRecorded(KEY)) == [ev.CapacityChanged()]
    assert KEY not in talk.session.leases
    assert talk.do(ev.EndRecorded(KEY)) == []


def test_the_end_of_a_log_without_a_byte_needs_no_look_at_the_file(talk: Talk) -> None:
    talk.running()
    (record,) = talk.hear(ended(size=0))
    assert record == ev.Record(ch.Finished(KEY, ended(size=0)), (ev.Send(settled(KEY)),))


def test_a_log_without_a_byte_has_one_checksum_only(talk: Talk) -> None:
    talk.running()
    wrong = ended(size=0).model_copy(update={"checksum": 1})
    assert sent(talk.hear(wrong)) == [m.Rewind(attempt=KEY, offset=0)]
    assert kinds(talk.hear(ended(size=0))) == ["Finished"]


def test_the_place_of_an_end_is_free_as_soon_as_that_is_being_committed(talk: Talk) -> None:
    talk.running()
    talk.hear(ended(size=9))
    (record,) = talk.do(ev.LogVerified(ended(size=9), 9, matches=True))
    assert isinstance(record, ev.Record)
    assert talk.do(ev.EndCommitting(KEY)) == [ev.CapacityChanged()]
    assert talk.session.leases[KEY].leaving
    assert talk.do(ev.EndCommitting(KEY)) == []
    assert talk.do(ev.EndRecorded(KEY)) == [], "its place was told of already"
    assert KEY not in talk.session.leases
    assert talk.do(ev.EndCommitting(KEY)) == []


def test_an_end_that_cannot_be_committed_keeps_its_place(talk: Talk) -> None:
    talk.running()
    talk.hear(ended(size=9))
    talk.do(ev.LogVerified(ended(size=9), 9, matches=True))
    talk.do(ev.EndCommitting(KEY))
    assert ev.CapacityChanged() in talk.do(ev.StoreFailed(KEY))
    assert not talk.session.leases[KEY].leaving


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
    [ch.Accepted(KEY), ch.Running(KEY, 7, 1.0), ch.Finished(KEY, ended()), ch.Returned(KEY)],
)
def test_what_the_store_calls_stale_is_superseded(talk: Talk, change: ch.Change) -> None:
    talk.running()
    effects = talk.do(ev.ChangeRefused(change))
    assert kinds(effects) == ["superseded"]
    assert ev.CapacityChanged() in effects
    assert not talk.session.leases


def test_a_withdrawal_that_fails_asks_for_the_truth(talk: Talk) -> None:
    assert kinds(talk.do(ev.ChangeRefused(ch.Withdrawn(KEY, "")))) == ["resync"]


@pytest.mark.parametrize("change", [ch.Lost(KEY, ""), ch.Rejected(KEY, "")])
def test_what_is_over_already_stays_over(talk: Talk, change: ch.Change) -> None:
    assert talk.do(ev.ChangeRefused(change)) == []


def test_a_lease_that_the_server_gave_up_is_superseded(talk: Talk) -> None:
    talk.running()
    effects = talk.do(ev.LeaseEnded(KEY, "lost"))
    assert sent(effects) == [m.Superseded(attempt=AttemptId(JOB, 1), detail="lost")]
    assert not talk.session.leases


def test_an_offer_bounds_the_log_of_its_job() -> None:
    leases = Leases(max_log=10_000)

    def offered(**fields: Any) -> int | None:
        (said,) = leases.offer(replace(lease(), spec=SPEC.model_copy(update=fields)))
        assert isinstance(said, Send)
        assert isinstance(said.message, m.Offer)
        return said.message.spec.max_log

    assert [offered(), offered(max_log=5_000), offered(max_log=50_000)] == [10_000, 5_000, 10_000]
    # What is stored stays what was asked for.
    assert leases.held[KEY].lease.spec.max_log == 50_000


@pytest.mark.parametrize("bound", [None, 10_000])
@pytest.mark.parametrize("max_log", [None, 5_000, 50_000])
def test_a_stored_specification_is_offered_as_it_is(max_log: int | None, bound: int | None) -> None:
    spec = SPEC.model_copy(update={"max_log": max_log})
    without, having = Leases(bound), Leases(bound)
    (plain,) = without.offer(replace(lease(), spec=spec))
    (said,) = having.offer(replace(lease(), spec=spec, text=spec.short_json))
    assert isinstance(plain, Send) and isinstance(said, Send)
    assert isinstance(said.message, WrittenOffer) is (max_log != 50_000 or bound is None)
    assert decode_from_server(encode(said.message)) == plain.message
    # And whenever it is said again.
    assert having.offers() == [said]


def test_an_acceptance_is_confirmed_with_the_jobs_private_input() -> None:
    leases = Leases()
    leases.offer(replace(lease(), spec=SPEC.model_copy(update={"private_input": True})))
    (record,) = leases.accepted(m.Accept(attempt=KEY, serial=1))
    wanted = ev.ConfirmWithSecrets(KEY, (), SPEC.queue, private_input=True)
    assert record == ev.Record(ch.Accepted(KEY, True), (wanted,))
