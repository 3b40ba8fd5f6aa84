"""The agent's session: link, heartbeats, offers, condition."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from remote_agent.session import events as ev
from remote_agent.session.effects import (
    ApplyAssignment,
    ApplyDesiredState,
    CloseLink,
    ContactConfirmed,
    Effect,
    Online,
    OwnLogStored,
)
from remote_agent.session.heartbeat import FIRST_INTERVAL
from remote_agent.session.machine import HANDLERS, OBEYED
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import accept
from remote_protocol.errors import CloseCode
from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.messages import Condition, Phase, Refusal, Verdict
from remote_protocol.spec import CommandSpec, OnDisconnect
from tests.agent.session.talk import (
    ASSIGNMENT,
    KEY,
    LINK,
    OTHER,
    OTHER_KEY,
    Talk,
    ended,
    kinds,
    ruling,
    sent,
)


def test_every_event_and_every_message_of_the_server_is_handled() -> None:
    assert set(HANDLERS) == set(get_args(ev.Event))
    assert set(OBEYED) == set(get_args(get_args(m.ServerMessage)[0]))


# Link ----------------------------------------------------------------------------------------


def test_a_hello_says_who_it_is_and_all_it_holds() -> None:
    talk = Talk().adopt(Phase.RUNNING, size=5).adopt(Phase.ENDED, OTHER_KEY, ended=ended(OTHER_KEY))
    hello = talk.open()
    assert (hello.session, hello.agent_version, hello.boot_id) == (LINK, "1.0", "b")
    assert [(i.attempt.job, i.phase, i.size) for i in hello.inventory] == [
        (KEY.job, Phase.RUNNING, 5),
        (OTHER, Phase.ENDED, 0),
    ]


def test_what_the_server_has_of_the_own_log_is_told() -> None:
    talk = Talk().online()
    assert talk.hear(m.OwnLogAck(cursor="c")) == [OwnLogStored("c")]


def test_a_heartbeat_says_once_how_busy_the_host_is() -> None:
    talk = Talk().online()
    load = m.HostLoad(cpu=1.0)
    assert talk.do(ev.HostLooked(load)) == []
    beats = [
        beat for _ in range(40) for beat in sent(talk.tick(1)) if isinstance(beat, m.Heartbeat)
    ]
    assert [beat.load for beat in beats[:2]] == [load, None]


def test_a_welcome_is_applied() -> None:
    talk = Talk()
    talk.open()
    assert not talk.session.welcomed
    desired = m.DesiredMode(paused=True)
    effects = talk.welcome(desired=desired)
    assert kinds(effects) == [
        "Online",
        "ContactConfirmed",
        "ApplyAssignment",
        "ApplyDesiredState",
        "WakeUploader",
    ]
    assert isinstance(effects[0], Online)
    assert effects[2:4] == [ApplyAssignment(ASSIGNMENT), ApplyDesiredState(desired)]
    assert talk.session.welcomed


def test_nothing_is_said_before_the_welcome() -> None:
    talk = Talk().adopt(Phase.RUNNING)
    talk.open()
    assert talk.do(ev.SpoolGrew(KEY, 9)) == []
    assert talk.do(ev.AttemptEnded(KEY, ended(size=9))) == []
    assert talk.session.next_chunk() is None
    assert talk.do(ev.ConditionChanged(Condition(accepting=False))) == []


@pytest.mark.parametrize("message", [m.Resync(), m.Ack(attempt=AttemptId(OTHER, 1), offset=0)])
def test_the_server_says_nothing_before_the_welcome_either(message: m.ServerMessage) -> None:
    talk = Talk()
    talk.open()
    (effect,) = talk.hear(message)
    assert isinstance(effect, CloseLink)
    assert effect.code is CloseCode.BAD_MESSAGE


@pytest.mark.parametrize("odd", [{"session": OTHER}, {"version": PROTOCOL_VERSION + 1}])
def test_a_welcome_to_something_else_closes_the_link(odd: dict[str, Any]) -> None:
    talk = Talk()
    talk.open()
    assert kinds(talk.welcome(**odd)) == ["CloseLink"]


def test_a_link_that_is_being_closed_hears_nothing() -> None:
    talk = Talk().online()
    assert kinds(talk.say("ack", offset=0)) == []
    talk.accepted()
    assert kinds(talk.say("ack", offset=1)) == ["CloseLink"]
    assert talk.offer(OTHER_KEY) == []
    assert talk.tick(1000) == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("fenced", CloseCode.FENCED),
        ("unregistered", CloseCode.UNREGISTERED),
        ("a code of a newer server", CloseCode.NORMAL),
    ],
)
def test_an_error_of_the_server_closes_the_link_with_its_code(said: str, code: CloseCode) -> None:
    (effect,) = Talk().online().hear(m.Error(code=said, detail="a newer session is here"))
    assert effect == CloseLink(code, "a newer session is here")


def test_a_silent_server_loses_the_link() -> None:
    talk = Talk().online()
    talk.tick(10)
    talk.tick(14.9)
    (effect,) = talk.tick(0.2)
    assert isinstance(effect, CloseLink)
    assert effect.code is CloseCode.SILENT
    assert "silent for" in effect.detail


def test_a_server_that_never_welcomes_loses_the_link() -> None:
    talk = Talk()
    talk.open()
    assert talk.tick(2.5 * FIRST_INTERVAL) == []
    assert kinds(talk.tick(0.1)) == ["CloseLink"]


def test_a_new_link_starts_afresh() -> None:
    talk = Talk().online()
    talk.do(ev.LinkClosed())
    talk.now += 500
    talk.open(OTHER)
    assert talk.do(ev.Tick()) == []
    assert kinds(talk.welcome(session=OTHER))[0] == "Online"


def test_resync_says_hello_again_and_chunks_wait() -> None:
    talk = Talk().online().running()
    talk.do(ev.SpoolGrew(KEY, 10))
    assert kinds(talk.hear(m.Resync())) == ["hello"]
    assert talk.session.next_chunk() is None
    assert "WakeUploader" in kinds(talk.welcome(ruling(Verdict.KEEP, offset=4)))
    assert talk.session.next_chunk() == (KEY, 4, 6)


def test_wishes_and_assignment_are_applied_live() -> None:
    talk = Talk().online()
    desired = m.DesiredMode(draining=True)
    assert talk.hear(m.SetMode(desired=desired)) == [ApplyDesiredState(desired)]
    configure = m.Configure(assignment=ASSIGNMENT, heartbeat_interval=2.0, offer_ttl=6.0)
    assert talk.hear(configure) == [ApplyAssignment(ASSIGNMENT)]
    assert kinds(talk.tick(2)) == ["heartbeat"]


def test_leaving_says_goodbye_and_takes_nothing_more() -> None:
    talk = Talk().online()
    assert kinds(talk.do(ev.ShuttingDown("stopped"))) == ["goodbye"]
    (message,) = sent(talk.offer(OTHER_KEY))
    assert isinstance(message, m.Refuse)
    assert message.reason is Refusal.DRAINING


# Heartbeats ----------------------------------------------------------------------------------


def test_heartbeats_keep_the_interval() -> None:
    talk = Talk().online().running()
    talk.do(ev.SpoolGrew(KEY, 30))
    assert talk.tick(9.9) == []
    (beat,) = sent(talk.tick(0.1))
    assert isinstance(beat, m.Heartbeat)
    assert (beat.seq, beat.running, beat.spool_bytes) == (1, 1, 30)
    assert talk.tick(1) == []


def test_a_change_of_condition_is_said_at_once() -> None:
    talk = Talk().online()
    condition = Condition(accepting=False, reason="paused on this host")
    (beat,) = sent(talk.do(ev.ConditionChanged(condition)))
    assert isinstance(beat, m.Heartbeat)
    assert beat.condition == condition
    assert talk.tick(9.9) == []


def answered(talk: Talk, leases: int, seq: int) -> list[Effect]:
    return talk.hear(m.HeartbeatAck(seq=seq, epoch=1, leases=leases, eligible=True))


def acked(talk: Talk, leases: int, seq: int) -> list[str]:
    return [kind for kind in kinds(answered(talk, leases, seq)) if kind != "ContactConfirmed"]


def test_two_differing_counts_in_a_row_say_hello() -> None:
    talk = Talk().online().running()
    for seq, (leases, said) in enumerate([(2, []), (1, []), (0, []), (0, ["hello"]), (0, [])], 1):
        talk.tick(10)
        assert acked(talk, leases, seq) == said


def test_an_old_echo_counts_for_nothing() -> None:
    talk = Talk().online()
    talk.tick(10)
    talk.tick(10)
    assert acked(talk, 5, 1) == []
    assert acked(talk, 5, 2) == []


def test_an_echo_of_nothing_closes_the_link() -> None:
    assert acked(Talk().online(), 0, 1) == ["CloseLink"]


def test_what_was_reported_is_not_counted_any_more() -> None:
    talk = Talk().online().running()
    talk.do(ev.AttemptEnded(KEY, ended()))
    for seq in (1, 2, 3):
        talk.tick(10)
        assert acked(talk, 0, seq) == []


# Offers --------------------------------------------------------------------------------------


def test_an_offer_is_stored_before_it_is_accepted() -> None:
    talk = Talk().online()
    assert kinds(talk.offer(serial=4)) == ["Store"]
    assert sent(talk.do(ev.OfferStored(KEY))) == [accept(KEY, 4)]


def test_an_offer_that_may_be_old_is_refused() -> None:
    talk = Talk().online()
    talk.now += 30.1
    (refuse,) = sent(talk.offer())
    assert isinstance(refuse, m.Refuse)
    assert refuse.reason is Refusal.STALE


def test_an_echoed_heartbeat_proves_that_offers_are_fresh() -> None:
    talk = Talk().online()
    talk.tick(20)
    talk.now += 15
    acked(talk, 0, 1)
    assert kinds(talk.offer()) == ["Store"]
    talk.now += 15.1
    assert kinds(talk.offer(OTHER_KEY)) == ["refuse"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (ev.ConditionChanged(Condition(accepting=False)), Refusal.PAUSED),
        (ev.ConditionChanged(Condition(accepting=False), Refusal.DISK), Refusal.DISK),
        (
            ev.ConditionChanged(Condition(accepting=False, draining=True), Refusal.DISK),
            Refusal.DRAINING,
        ),
    ],
)
def test_an_agent_that_takes_nothing_says_why(event: ev.Event, reason: Refusal) -> None:
    talk = Talk().online()
    talk.do(event)
    (refuse,) = sent(talk.offer(serial=3))
    assert isinstance(refuse, m.Refuse)
    assert (refuse.reason, refuse.serial) == (reason, 3)
    assert refuse.detail


def test_what_is_held_is_accepted_again_even_when_nothing_is_taken() -> None:
    talk = Talk().online().running()
    talk.do(ev.ConditionChanged(Condition(accepting=False)))
    assert kinds(talk.offer(serial=2)) == ["accept", "started"]


# A server that stays away --------------------------------------------------------------------

STOPS_SOON = CommandSpec(command=["true"], on_disconnect=OnDisconnect(stop_after=6.0))


def proofs(effects: list[Effect]) -> list[float]:
    return [effect.at for effect in effects if isinstance(effect, ContactConfirmed)]


def test_an_answer_proves_that_the_server_was_there_at_the_question() -> None:
    talk = Talk()
    talk.open()
    asked = talk.now
    talk.now += 5
    assert proofs(talk.welcome()) == [asked]
    assert kinds(talk.tick(10)) == ["heartbeat"]
    asked = talk.now
    talk.now += 2
    assert proofs(answered(talk, 0, 1)) == [asked]


def test_nothing_but_an_answer_is_a_proof() -> None:
    talk = Talk().online()
    assert kinds(talk.tick(10) + talk.tick(10)) == ["heartbeat", "heartbeat"]
    # The answer to the first one, read late: who knows how late.
    assert acked(talk, 0, 1) == []
    assert proofs(talk.hear(m.SetMode(desired=m.DesiredMode()))) == []


def test_contact_is_proven_more_often_for_jobs_that_stop_soon() -> None:
    talk = Talk().online()
    assert kinds(talk.offer(spec=STOPS_SOON)) == ["heartbeat", "Store"]
    assert proofs(answered(talk, 0, 1)) == [talk.now]
    talk.do(ev.OfferStored(KEY))
    talk.do(ev.AcceptanceDurable(KEY))
    talk.say("confirm")
    assert talk.tick(1.5) == []
    assert kinds(talk.tick(0.5)) == ["heartbeat"]
    # While it is not answered, another one would not help.
    assert talk.tick(2) == []
    acked(talk, 1, 2)
    assert kinds(talk.tick(1)) == ["heartbeat"]
    acked(talk, 1, 3)
    talk.do(ev.AttemptEnded(KEY, ended()))
    assert talk.tick(9) == []
    assert kinds(talk.tick(1)) == ["heartbeat"]
