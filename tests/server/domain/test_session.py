"""The server's session: link, heartbeats, whether the agent takes jobs."""

from __future__ import annotations

import pytest

from remote_protocol import messages as m
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Condition, Phase
from remote_protocol.states import AttemptState, EndReason
from remote_server.domain import events as ev
from tests.server.domain.talk import (
    ASSIGNMENT,
    KEY,
    LINK,
    OTHER_KEY,
    Talk,
    item,
    kinds,
    lease,
    sent,
    welcome_of,
)


@pytest.fixture
def talk() -> Talk:
    return Talk().online()


def beat(talk: Talk, seq: int = 1, **condition: object) -> m.HeartbeatAck:
    effects = talk.hear(m.Heartbeat(seq=seq, condition=Condition.model_validate(condition)))
    (ack,) = sent(effects)
    assert isinstance(ack, m.HeartbeatAck)
    return ack


# Link ----------------------------------------------------------------------------------------


def test_a_welcome_echoes_the_session_and_dictates_the_terms() -> None:
    welcome = welcome_of(Talk().hello(desired=m.DesiredMode(paused=True)))
    assert (welcome.session, welcome.epoch, welcome.agent, welcome.version) == (LINK, 3, "a", 1)
    assert (welcome.heartbeat_interval, welcome.offer_ttl) == (10.0, 30.0)
    assert welcome.assignment == ASSIGNMENT
    assert welcome.desired.paused


def test_without_a_common_version_the_link_is_closed() -> None:
    talk = Talk()
    (close,) = talk.hello(oldest=8, newest=9)
    assert isinstance(close, ev.Close)
    assert close.code is CloseCode.UNSUPPORTED_VERSION
    assert talk.hello() == []


@pytest.mark.parametrize(
    "event",
    [
        ev.MessageReceived(m.Heartbeat(seq=1)),
        ev.MessageReceived(m.Accept(attempt=KEY)),
        ev.ChunkReceived(KEY, 0, 1, 0),
    ],
)
def test_the_hello_comes_first(event: ev.Event) -> None:
    talk = Talk()
    (close,) = talk.do(event)
    assert isinstance(close, ev.Close)
    assert close.code is CloseCode.BAD_MESSAGE
    assert talk.do(event) == []


@pytest.mark.parametrize(
    "event",
    [
        ev.Offered(lease()),
        ev.CancelWished(KEY, EndReason.CANCELLED, ""),
        ev.LeaseEnded(KEY, ""),
        ev.DesiredModeChanged(m.DesiredMode()),
        ev.AssignmentChanged(ASSIGNMENT),
    ],
)
def test_nothing_is_said_before_the_welcome(event: ev.Event) -> None:
    assert sent(Talk().do(event)) == []


def test_a_hello_is_for_the_hub_to_reconcile(talk: Talk) -> None:
    hello = m.Hello(oldest=1, newest=1, installation="i", session=LINK, agent_version="1")
    (close,) = talk.hear(hello)
    assert isinstance(close, ev.Close)
    assert close.code is CloseCode.INTERNAL


def test_a_silent_agent_loses_its_link(talk: Talk) -> None:
    assert talk.session.due == 130
    assert talk.tick(30) == []
    (close,) = talk.tick(0.1)
    assert isinstance(close, ev.Close)
    assert close.code is CloseCode.SILENT


def test_log_bytes_are_a_sign_of_life(talk: Talk) -> None:
    talk.running()
    talk.now += 25
    talk.chunk(0, 1, 0)
    assert talk.tick(25) == []
    assert talk.session.last_heard == 125


def test_a_late_heartbeat_makes_an_agent_stale(talk: Talk) -> None:
    assert not talk.session.stale(120)
    assert talk.session.stale(120.1)


def test_a_lost_link_gives_back_what_was_not_accepted(talk: Talk) -> None:
    talk.running()
    talk.offer(OTHER_KEY)
    effects = talk.do(ev.LinkClosed())
    assert kinds(effects) == ["Withdrawn"]
    assert set(talk.session.leases) == {KEY}
    assert talk.do(ev.Tick()) == []
    assert not talk.session.eligible


def test_a_goodbye_gives_back_what_was_not_accepted(talk: Talk) -> None:
    talk.offer()
    assert kinds(talk.hear(m.Goodbye(reason="update"))) == ["Withdrawn"]
    assert talk.session.reason == "it is leaving"
    assert kinds(talk.say("accept", serial=1)) == ["superseded"]


# Heartbeats ----------------------------------------------------------------------------------


def test_a_heartbeat_is_echoed(talk: Talk) -> None:
    talk.running()
    talk.offer(OTHER_KEY)
    ack = beat(talk, seq=7)
    assert (ack.seq, ack.epoch, ack.leases, ack.eligible, ack.reason) == (7, 3, 1, True, "")


def test_a_heartbeat_carries_condition_and_spool(talk: Talk) -> None:
    condition = Condition(accepting=False, reason="the disk is full")
    effects = talk.hear(m.Heartbeat(seq=1, condition=condition, spool_bytes=9))
    assert ev.CapacityChanged() in effects
    assert talk.session.spool_bytes == 9
    assert talk.session.condition == condition
    assert talk.session.reason == "the disk is full"
    assert ev.CapacityChanged() not in talk.hear(m.Heartbeat(seq=2, condition=condition))


# Eligibility ---------------------------------------------------------------------------------


def test_an_agent_gets_jobs_from_its_welcome_on() -> None:
    talk = Talk()
    assert not talk.session.eligible
    assert ev.CapacityChanged() in talk.hello()
    assert talk.session.eligible
    assert talk.session.hello is not None


@pytest.mark.parametrize(
    ("desired", "reason"),
    [
        (m.DesiredMode(paused=True), "it is paused"),
        (m.DesiredMode(paused=True, comment="new disk"), "it is paused: new disk"),
        (m.DesiredMode(paused=True, draining=True), "it is draining"),
    ],
)
def test_a_desired_mode_keeps_jobs_away(talk: Talk, desired: m.DesiredMode, reason: str) -> None:
    effects = talk.do(ev.DesiredModeChanged(desired))
    assert sent(effects) == [m.SetMode(desired=desired)]
    assert ev.CapacityChanged() in effects
    assert talk.session.reason == reason
    assert beat(talk).reason == reason


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ({"accepting": False}, "it takes no jobs now"),
        ({"accepting": False, "draining": True}, "it is draining"),
    ],
)
def test_the_condition_keeps_jobs_away(talk: Talk, condition: dict[str, bool], reason: str) -> None:
    assert beat(talk, **condition).reason == reason


def test_a_new_assignment_is_said_with_the_terms(talk: Talk) -> None:
    effects = talk.do(ev.AssignmentChanged(ASSIGNMENT))
    (configure,) = sent(effects)
    assert configure == m.Configure(assignment=ASSIGNMENT, heartbeat_interval=10.0, offer_ttl=30.0)
    assert ev.CapacityChanged() in effects


# The database --------------------------------------------------------------------------------


def test_without_a_database_no_jobs_and_then_a_resync(talk: Talk) -> None:
    assert talk.do(ev.StoreFailed()) == [ev.CapacityChanged()]
    assert "database" in talk.session.reason
    assert kinds(talk.do(ev.StoreRecovered())) == ["resync"]
    assert talk.session.eligible
    assert talk.do(ev.StoreRecovered()) == []
    # It may have lost what was committed while this session had no trouble.
    assert kinds(talk.do(ev.StoreRecovered(forgetful=True))) == ["resync"]


def test_an_attempt_that_could_not_be_written_is_not_heard_until_the_hello(talk: Talk) -> None:
    talk.running().running(OTHER_KEY)
    talk.do(ev.StoreFailed(KEY))
    assert talk.chunk(0, 5, 0) == []
    assert talk.say("ended", exit_code=0, end_reason="exit", size=0, checksum=0, ended_at=1) == []
    assert kinds(talk.chunk(0, 5, 0, OTHER_KEY)) == ["AppendLog"]
    talk.do(ev.StoreRecovered())
    talk.hello(item(Phase.RUNNING), leases=(lease(AttemptState.RUNNING),))
    assert kinds(talk.chunk(0, 5, 0)) == ["AppendLog"]


def test_a_failure_of_everything_is_one_of_each(talk: Talk) -> None:
    talk.running()
    talk.do(ev.StoreFailed())
    assert talk.chunk(0, 5, 0) == []


# Cancels come again --------------------------------------------------------------------------


def test_a_cancel_is_said_again_until_the_end_is_reported(talk: Talk) -> None:
    talk.running()
    (cancel,) = sent(talk.do(ev.CancelWished(KEY, EndReason.TIMEOUT, "too long")))
    assert isinstance(cancel, m.Cancel)
    assert (cancel.reason, cancel.detail) == (EndReason.TIMEOUT, "too long")
    assert talk.session.due == 105
    assert talk.tick(4.9) == []
    assert sent(talk.tick(0.1)) == [cancel]
    assert talk.tick(4) == []
    talk.say("ended", exit_code=0, end_reason="cancelled", size=0, checksum=0, ended_at=1)
    assert talk.tick(5) == []
    assert talk.session.due == talk.session.last_heard + 30


def test_a_cancel_of_what_is_not_held_is_nothing(talk: Talk) -> None:
    assert talk.do(ev.CancelWished(KEY, EndReason.CANCELLED, "")) == []


# Whether what is offered was accepted -----------------------------------------------------------


def test_a_session_knows_what_was_not_accepted(talk: Talk) -> None:
    assert talk.session.unanswered(KEY), "neither was it in its hello, nor is it offered since"
    talk.offer()
    assert talk.session.unanswered(KEY)
    talk.say("accept", serial=1)
    # Its confirmation may have left, whatever the database says.
    assert not talk.session.unanswered(KEY)


def test_a_session_knows_nothing_before_its_hello_after_its_end_and_while_it_is_suspended() -> None:
    talk = Talk()
    assert not talk.session.unanswered(KEY)
    talk.online()
    talk.offer()
    talk.do(ev.StoreFailed(KEY))
    assert not talk.session.unanswered(KEY)
    talk.do(ev.StoreRecovered())
    assert talk.session.unanswered(KEY)
    talk.do(ev.LinkClosed())
    assert not talk.session.unanswered(KEY)
