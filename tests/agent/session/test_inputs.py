"""The agent's copies of inputs: asked for, appended once, asked for again, ended."""

from __future__ import annotations

import pytest

from remote_agent.session import events as ev
from remote_agent.session.attempt import FoundAttempt
from remote_agent.session.effects import AppendInput, Effect, EndInput
from remote_agent.session.input_copy import ACK_AFTER, InputCopy
from remote_protocol import messages as m
from remote_protocol.messages import Phase, Verdict
from remote_protocol.spec import CommandSpec
from tests.agent.session.talk import KEY, SPEC, Talk, ended, kinds, ruling, sent

READS = CommandSpec(command=["cat"], stdin=True)


def piece(talk: Talk, offset: int, data: bytes) -> list[Effect]:
    """A piece comes and is stored, as the host does it."""
    effects = talk.do(ev.InputReceived(KEY, offset, memoryview(data)))
    for effect in effects:
        if isinstance(effect, AppendInput):
            size = effect.offset + len(effect.payload)
            effects = effects + talk.do(ev.InputStored(KEY, size))
    return effects


def appended(effects: list[Effect]) -> list[tuple[int, bytes]]:
    return [(e.offset, bytes(e.payload)) for e in effects if isinstance(e, AppendInput)]


def asked(effects: list[Effect]) -> list[int]:
    return [message.offset for message in sent(effects) if isinstance(message, m.ReadInput)]


def end(talk: Talk, size: int) -> list[Effect]:
    return talk.hear(m.InputEnd(attempt=KEY, size=size))


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.open()
    talk.welcome()
    talk.running(spec=READS)
    return talk


def test_a_job_is_started_before_its_input_is_asked_for() -> None:
    talk = Talk()
    talk.open()
    talk.welcome()
    talk.accepted(spec=READS)
    effects = talk.say("confirm")
    assert kinds(effects) == ["Start", "read_input"] and asked(effects) == [0]


def test_a_job_without_input_asks_for_nothing() -> None:
    talk = Talk()
    talk.open()
    talk.welcome()
    talk.accepted(spec=SPEC)
    assert kinds(talk.say("confirm")) == ["Start"]
    assert piece(talk, 0, b"x") == [] and end(talk, 0) == []


def test_pieces_are_appended_once_and_the_end_is_noted(talk: Talk) -> None:
    assert appended(piece(talk, 0, b"abc")) == [(0, b"abc")]
    assert piece(talk, 0, b"abc") == []
    assert appended(piece(talk, 1, b"bcdef")) == [(3, b"def")]
    assert end(talk, 6) == [EndInput(KEY, 6)]
    talk.do(ev.InputEnded(KEY))
    assert end(talk, 6) == [] and piece(talk, 6, b"more") == []


def test_what_is_lost_is_asked_for_again_once(talk: Talk) -> None:
    piece(talk, 0, b"abc")
    assert asked(piece(talk, 5, b"fg")) == [3]
    assert piece(talk, 7, b"hi") == [], "on its way before the question was read"
    assert end(talk, 9) == []
    assert appended(piece(talk, 3, b"defghi")) == [(3, b"defghi")]
    assert asked(end(talk, 12)) == [9]


def test_arrivals_are_acknowledged_now_and_then(talk: Talk) -> None:
    half = ACK_AFTER // 2
    assert sent(piece(talk, 0, bytes(half))) == []
    (ack,) = sent(piece(talk, half, bytes(half)))
    assert isinstance(ack, m.InputAck) and ack.offset == ACK_AFTER


def test_a_full_disk_is_tried_again_with_the_tick_and_no_sooner(talk: Talk) -> None:
    talk.do(ev.InputReceived(KEY, 0, memoryview(b"abc")))
    talk.do(ev.InputFailed(KEY))
    assert piece(talk, 3, b"def") == [] and end(talk, 6) == []
    assert asked(talk.tick(1)) == [0]
    assert asked(talk.tick(1)) == []
    assert appended(piece(talk, 0, b"abcdef")) == [(0, b"abcdef")]
    assert end(talk, 6) == [EndInput(KEY, 6)]
    talk.do(ev.InputFailed(KEY))
    assert asked(talk.tick(1)) == [6], "the end may fail, too"


def test_every_welcome_is_followed_by_the_question(talk: Talk) -> None:
    piece(talk, 0, b"abc")
    talk.do(ev.LinkClosed())
    assert talk.do(ev.InputReceived(KEY, 3, memoryview(b"x"))) == [], "of a link that is gone"
    talk.open()
    assert talk.do(ev.InputReceived(KEY, 3, memoryview(b"x"))) == [], "before the welcome"
    assert asked(talk.welcome(ruling(Verdict.KEEP))) == [3]
    end(talk, 3)
    talk.do(ev.InputEnded(KEY))
    talk.do(ev.LinkClosed())
    talk.open()
    assert asked(talk.welcome(ruling(Verdict.KEEP))) == [], "it has everything"


def test_a_new_agent_goes_on_with_the_copy_of_the_former() -> None:
    talk = Talk()
    started = m.Started(attempt=KEY, pid=7, at=1.0)
    copy = InputCopy(5)
    talk.session.adopt(FoundAttempt(KEY, READS, Phase.RUNNING, 0, started, input=copy))
    talk.open()
    assert asked(talk.welcome(ruling(Verdict.KEEP))) == [5]
    assert appended(piece(talk, 0, b"abcdefg")) == [(5, b"fg")]


def test_a_job_that_a_former_agent_started_is_asked_for_when_that_shows() -> None:
    talk = Talk()
    talk.session.adopt(FoundAttempt(KEY, READS, Phase.ACCEPTED, 0, input=InputCopy()))
    talk.open()
    assert asked(talk.welcome(ruling(Verdict.KEEP))) == []
    assert asked(talk.do(ev.AttemptStarted(KEY, 7, 1.0))) == [0]
    assert asked(talk.say("confirm")) == []


def test_an_attempt_that_is_over_wants_nothing(talk: Talk) -> None:
    talk.do(ev.InputReceived(KEY, 0, memoryview(b"abc")))
    talk.do(ev.InputFailed(KEY))
    talk.do(ev.AttemptEnded(KEY, ended()))
    assert piece(talk, 0, b"abc") == [] and asked(talk.tick(1)) == []
    talk.say("settled")
    for event in (ev.InputStored(KEY, 1), ev.InputEnded(KEY), ev.InputFailed(KEY)):
        assert talk.do(event) == []
