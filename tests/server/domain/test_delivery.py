"""Inputs of one link: sent once, in order, within a window; asked again, sent again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remote_protocol import messages as m
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.limits import MAX_PAYLOAD, WINDOW
from remote_protocol.spec import JobSpec
from remote_protocol.states import AttemptState
from remote_server.domain import events as ev
from remote_server.domain.delivery import Delivery
from remote_server.domain.events import Effect, InputChanged, InputRead, SendInputs
from tests.server.domain.talk import KEY, OTHER_KEY, SPEC, Talk, item, kinds, lease, sent


def reads(offset: int, size: int, ended: bool = False) -> InputRead:
    return InputRead(KEY, offset, size, ended)


def carried(delivery: Delivery) -> list[tuple[int, int]]:
    """Send all that may be sent; offset and length of each piece."""
    pieces = []
    while (piece := delivery.next_chunk()) is not None:
        key, offset, length = piece
        pieces.append((offset, length))
        delivery.sent(key, length)
    return pieces


def end(effects: list[Effect]) -> list[int]:
    return [message.size for message in sent(effects) if isinstance(message, m.InputEnd)]


def test_what_is_there_is_sent_and_then_its_end() -> None:
    delivery = Delivery()
    assert delivery.read(reads(0, 10)) == [SendInputs()]
    assert delivery.next_chunk() == (KEY, 0, 10)
    assert delivery.sent(KEY, 10) == []
    assert delivery.next_chunk() is None
    assert delivery.changed(InputChanged(KEY.job, 15, False)) == [SendInputs()]
    assert carried(delivery) == [(10, 5)]
    assert end(delivery.changed(InputChanged(KEY.job, 15, True))) == [15]
    assert end(delivery.changed(InputChanged(KEY.job, 15, True))) == [], "said once"
    assert end(delivery.read(reads(15, 15, True))) == [15], "asked again, said again"


def test_the_end_follows_the_last_byte() -> None:
    delivery = Delivery()
    assert end(delivery.read(reads(0, 10, True))) == []
    assert delivery.next_chunk() == (KEY, 0, 10)
    assert end(delivery.sent(KEY, 10)) == [10]
    assert end(Delivery().read(reads(0, 0, True))) == [0], "an empty input ends, too"


def test_no_more_than_a_window_is_on_its_way() -> None:
    delivery = Delivery()
    delivery.read(reads(0, 10 * WINDOW))
    pieces = carried(delivery)
    assert sum(length for _, length in pieces) == WINDOW
    assert max(length for _, length in pieces) == MAX_PAYLOAD
    assert delivery.acked(KEY, 5) == [SendInputs()]
    assert carried(delivery) == [(WINDOW, 5)]
    with pytest.raises(RemoteProtocolError):
        delivery.acked(KEY, 10 * WINDOW + 1)


def test_asked_again_it_goes_on_from_there() -> None:
    delivery = Delivery()
    delivery.read(reads(0, 10))
    assert delivery.next_chunk() == (KEY, 0, 10)
    delivery.read(reads(4, 10))
    assert delivery.sent(KEY, 10) == [], "a piece that was taken before counts no more"
    assert carried(delivery) == [(4, 6)]


def test_attempts_take_turns() -> None:
    delivery = Delivery()
    delivery.read(InputRead(KEY, 0, 2 * MAX_PAYLOAD, False))
    delivery.read(InputRead(OTHER_KEY, 0, 2 * MAX_PAYLOAD, False))
    turns = []
    while (piece := delivery.next_chunk()) is not None:
        turns.append(piece[0])
        delivery.sent(piece[0], piece[2])
    assert turns == [KEY, OTHER_KEY, KEY, OTHER_KEY]


def test_an_agent_that_has_more_waits() -> None:
    # The server was restored from an older copy.
    delivery = Delivery()
    assert delivery.read(reads(50, 20)) == []
    assert delivery.changed(InputChanged(KEY.job, 40, False)) == []
    assert delivery.changed(InputChanged(KEY.job, 60, False)) == [SendInputs()]
    assert carried(delivery) == [(50, 10)]


def test_nothing_is_sent_of_what_is_gone() -> None:
    delivery = Delivery()
    delivery.read(reads(0, 10))
    delivery.keep({OTHER_KEY})
    assert delivery.next_chunk() is None
    assert delivery.acked(KEY, 3) == [] and delivery.sent(KEY, 3) == []
    delivery.read(reads(0, 10))
    delivery.drop(KEY)
    assert delivery.next_chunk() is None
    delivery.read(reads(0, 10))
    delivery.hello()
    assert delivery.next_chunk() is None


# In a session --------------------------------------------------------------------------------


def holding(spec: JobSpec) -> Talk:
    talk = Talk()
    held = replace(lease(AttemptState.RUNNING), spec=spec)
    talk.hello(item(m.Phase.RUNNING), leases=(held,))
    return talk


def test_a_session_sends_the_input_of_a_job_that_takes_one() -> None:
    talk = holding(SPEC.model_copy(update={"stdin": True}))
    assert kinds(talk.do(reads(0, 3))) == ["SendInputs"]
    assert talk.session.next_input() == (KEY, 0, 3)
    talk.do(ev.InputSent(KEY, 3))
    assert kinds(talk.do(InputChanged(KEY.job, 3, True))) == ["input_end"]
    assert talk.hear(m.InputAck(attempt=KEY, offset=3)) == []


def test_a_session_sends_nothing_to_others() -> None:
    assert holding(SPEC).do(reads(0, 3)) == [], "a job without input"
    assert kinds(Talk().online().do(reads(0, 3))) == ["superseded"]
    (close,) = Talk().do(reads(0, 3))
    assert isinstance(close, ev.Close), "before the hello"


def test_a_lease_that_ends_takes_its_input_along() -> None:
    talk = holding(SPEC.model_copy(update={"stdin": True}))
    talk.do(reads(0, 3))
    talk.do(ev.LeaseEnded(KEY, "given up"))
    assert talk.session.next_input() is None
    talk = holding(SPEC.model_copy(update={"stdin": True}))
    talk.do(reads(0, 3))
    talk.do(ev.InputGone(KEY))
    assert talk.session.next_input() is None
    talk.do(reads(0, 3))
    talk.do(ev.LinkClosed())
    assert talk.session.next_input() is None
