"""The copy of one input by itself; how a session fetches it is in test_inputs.py."""

from __future__ import annotations

from remote_agent.session.effects import AppendInput, EndInput, Send
from remote_agent.session.events import InputReceived
from remote_agent.session.input_copy import ACK_AFTER, InputCopy
from remote_protocol import messages as m
from tests.agent.session.talk import KEY

ASKED = Send(m.ReadInput(attempt=KEY, offset=3))


def came(offset: int, data: bytes) -> InputReceived:
    return InputReceived(KEY, offset, memoryview(data))


def test_what_continues_it_is_appended_and_what_it_has_is_ignored() -> None:
    copy = InputCopy(3)
    assert copy.take(came(0, b"abc")) == []
    assert copy.take(came(2, b"cde")) == [AppendInput(KEY, 3, memoryview(b"de"))]


def test_a_gap_is_asked_about_once() -> None:
    copy = InputCopy(3)
    assert copy.take(came(5, b"x")) == [ASKED]
    assert copy.take(came(6, b"y")) == []


def test_it_is_acknowledged_by_the_quarter_of_a_window() -> None:
    copy = InputCopy()
    assert copy.stored(KEY, ACK_AFTER - 1) == []
    assert copy.stored(KEY, ACK_AFTER) == [Send(m.InputAck(attempt=KEY, offset=ACK_AFTER))]
    assert copy.stored(KEY, ACK_AFTER + 1) == []


def test_its_end_is_noted_when_it_is_complete() -> None:
    copy = InputCopy(3)
    assert copy.finish(KEY, 4) == [ASKED]
    assert copy.finish(KEY, 3) == [EndInput(KEY, 3)]
    copy.ended = True
    assert copy.finish(KEY, 3) == [] and copy.ask(KEY) == [] and copy.take(came(3, b"x")) == []
