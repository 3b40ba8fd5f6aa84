"""Frames: messages go over the wire and back, garbage is named, limits hold."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol import codec
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from remote_protocol.limits import (
    MAX_AGENT_MESSAGE,
    MAX_PAYLOAD,
    MAX_TOGETHER,
    PROTOCOL_VERSION,
)
from remote_protocol.messages import (
    Accept,
    Ack,
    Confirm,
    Ended,
    Hello,
    Offer,
    Refusal,
    Refuse,
    Settled,
)
from remote_protocol.spec import CommandSpec, JobSpec, PythonSpec
from remote_protocol.states import EndReason
from tests.support.frames import encode_chunk

JOB = "01ARYZ6S410000000000000000"
FIRST = AttemptId(JOB, 1)


def ended(code: int | None) -> Ended:
    return Ended(
        attempt=FIRST,
        exit_code=code,
        end_reason=EndReason.EXIT,
        size=3,
        checksum=9,
        ended_at=1.5,
    )


@pytest.mark.parametrize("code", [0, 3, None])
def test_a_message_goes_over_the_wire(code: int | None) -> None:
    assert codec.decode_from_agent(codec.encode(ended(code))) == ended(code)


def said(frame: str) -> list[object]:
    return [codec.decode_from_agent(text) for text in codec.messages_of(frame)]


def test_a_message_alone_is_a_frame() -> None:
    assert codec.next_frame(deque([ended(3)])) == codec.encode(ended(3))
    assert codec.messages_of(codec.encode(ended(3))) == [codec.encode(ended(3))]


def test_messages_of_a_turn_share_a_frame_in_their_order() -> None:
    told = [ended(code) for code in range(5)]
    waiting = deque(told)
    frame = codec.next_frame(waiting)
    assert not waiting
    assert frame.count("\n") == 4
    assert said(frame) == told


def test_a_line_feed_in_a_message_parts_nothing() -> None:
    told = [Refuse(attempt=FIRST, reason=Refusal.DISK, detail=f"one\ntwo\r\n{n}") for n in (1, 2)]
    assert said(codec.next_frame(deque(told))) == told


def test_a_frame_carries_so_many_messages_and_no_more() -> None:
    waiting = deque([Settled(attempt=FIRST)] * (MAX_TOGETHER + 1))
    frame = codec.next_frame(waiting)
    assert len(waiting) == 1
    assert len(codec.messages_of(frame)) == MAX_TOGETHER
    with pytest.raises(RemoteProtocolError, match="64 messages at the most"):
        codec.messages_of(frame + "\n" + codec.encode(ended(0)))
    with pytest.raises(RemoteProtocolError, match="64 messages at the most"):
        codec.messages_of("\n" * MAX_AGENT_MESSAGE)


def test_long_messages_go_alone() -> None:
    """A frame with several is far below what the other side reads as one."""
    long = Refuse(attempt=FIRST, reason=Refusal.DISK, detail="ä" * 2_000)
    waiting = deque([long] * 20)
    sizes = []
    while waiting:
        sizes.append(len(codec.next_frame(waiting).encode()))
    assert len(sizes) == 3
    assert max(sizes) < 64 * 1024
    offer = Offer(attempt=FIRST, spec=CommandSpec(command=["x" * 100_000]))
    both: deque[Offer | Settled] = deque([Settled(attempt=FIRST), offer, Settled(attempt=FIRST)])
    assert codec.next_frame(both) == codec.encode(Settled(attempt=FIRST))
    assert codec.next_frame(both) == codec.encode(offer)
    assert len(both) == 1


@pytest.mark.parametrize("text", ["", "\n", "{}", '{"type": "started",\n"pid": 1}'])
def test_an_empty_line_is_no_message(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="not a message"):
        said(codec.encode(ended(0)) + "\n" + text)


def test_what_is_not_said_is_not_sent() -> None:
    assert "exit_code" not in json.loads(codec.encode(ended(None)))


def test_an_offer_goes_over_the_wire() -> None:
    offer = Offer(
        attempt=AttemptId(JOB, 2), spec=CommandSpec(command=["echo", "ä\n"], env={"A": "b"})
    )
    assert codec.decode_from_server(codec.encode(offer)) == offer


def test_an_offer_says_only_what_is_no_default() -> None:
    offer = Offer(attempt=FIRST, spec=CommandSpec(command=["true"]), serial=7)
    said = json.loads(codec.encode(offer))
    assert said == {
        "type": "offer",
        "attempt": str(FIRST),
        "serial": 7,
        "spec": {"command": ["true"]},
    }
    other = PythonSpec(module="calendar", env={"A": "\u2028é"})
    assert codec.decode_from_server(codec.encode(Offer(attempt=FIRST, spec=other))) == Offer(
        attempt=FIRST, spec=other
    )


@pytest.mark.parametrize("max_log", [None, 5000])
@pytest.mark.parametrize(
    "spec",
    [
        CommandSpec(command=["true"]),
        PythonSpec(module="calendar", env={"A": "\u2028é\n"}, labels={"a": "b"}),
        CommandSpec(command=["a\n"], private_input=True),
    ],
)
def test_an_offer_of_a_stored_specification_is_like_any_other(
    spec: JobSpec, max_log: int | None
) -> None:
    offer = codec.WrittenOffer(FIRST, spec.short_json, max_log, 7)
    assert offer.type == "offer"
    written = codec.encode(offer)
    wanted = spec.model_copy(update={"max_log": max_log})
    assert codec.decode_from_server(written) == Offer(attempt=FIRST, spec=wanted, serial=7)
    if max_log is None:
        assert written == codec.encode(Offer(attempt=FIRST, spec=spec, serial=7))


def test_a_stored_specification_without_a_field_is_capped() -> None:
    written = codec.encode(codec.WrittenOffer(FIRST, "{}", 5000, 0))
    assert json.loads(written)["spec"] == {"max_log": 5000}


def test_what_is_there_as_json_is_sent_as_it_is() -> None:
    assert codec.encode(codec.Written("started", FIRST, "{}")) == "{}"


def test_an_acceptance_is_written_as_its_model_is() -> None:
    written = codec.accept(FIRST, 7)
    assert (written.type, written.attempt) == ("accept", FIRST)
    assert codec.encode(written) == codec.encode(Accept(attempt=FIRST, serial=7))


def test_what_a_server_says_of_each_job_is_written_as_its_model_is() -> None:
    for written, model in (
        (codec.confirm(FIRST), Confirm(attempt=FIRST)),
        (codec.settled(FIRST), Settled(attempt=FIRST)),
    ):
        assert (written.type, written.attempt) == (model.type, FIRST)
        assert codec.encode(written) == codec.encode(model)


def test_bytes_are_read_as_well() -> None:
    accept = Accept(attempt=FIRST)
    assert codec.decode_from_agent(codec.encode(accept).encode()) == accept


def test_unknown_fields_are_ignored() -> None:
    frame = json.dumps({"type": "settled", "attempt": f"{JOB}.1", "from": "the future"})
    assert codec.decode_from_server(frame) == Settled(attempt=FIRST)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("", "not a message"),
        ("{", "not a message"),
        ("[]", "not a message"),
        ('{"type": "dance"}', "dance"),
        ('{"job": "x"}', "type"),
        ('{"type": "accept", "attempt": "x.1"}', "accept.attempt"),
        (f'{{"type": "accept", "attempt": "{JOB}.0"}}', "accept.attempt"),
        (f'{{"type": "ack", "attempt": "{JOB}.1", "offset": 0}}', "ack"),
        (b"\xff\xfe", "not a message"),
    ],
)
def test_garbage_from_an_agent_is_its_fault(frame: str | bytes, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        codec.decode_from_agent(frame)
    assert caught.value.code is CloseCode.BAD_MESSAGE


def test_each_side_has_its_own_messages() -> None:
    ack = codec.encode(Ack(attempt=FIRST, offset=1))
    assert codec.decode_from_server(ack) == Ack(attempt=FIRST, offset=1)
    with pytest.raises(RemoteProtocolError):
        codec.decode_from_server(codec.encode(Accept(attempt=FIRST)))


def test_a_message_has_a_limit() -> None:
    with pytest.raises(RemoteProtocolError, match="at most"):
        codec.decode_from_agent(" " * (MAX_AGENT_MESSAGE + 1))


def test_an_inventory_has_a_limit() -> None:
    item = {"attempt": f"{JOB}.1", "phase": "running"}
    hello = {
        "type": "hello",
        "oldest": 1,
        "newest": 1,
        "installation": "i",
        "session": JOB,
        "agent_version": "1",
    }
    frame = json.dumps({**hello, "inventory": [item] * 501})
    with pytest.raises(RemoteProtocolError, match="inventory"):
        codec.decode_from_agent(frame)
    assert isinstance(codec.decode_from_agent(json.dumps({**hello, "inventory": [item]})), Hello)


@given(
    st.integers(1, (1 << 32) - 1),
    st.integers(0, (1 << 63) - 101),
    st.binary(min_size=1, max_size=100),
)
def test_a_chunk_goes_over_the_wire(number: int, offset: int, payload: bytes) -> None:
    attempt = AttemptId(JOB, number)
    frame = encode_chunk(attempt, offset, payload)
    chunk = codec.decode_chunk(frame)
    assert (chunk.attempt, chunk.offset) == (attempt, offset)
    assert bytes(chunk.payload) == payload
    buffer = bytearray(codec.HEADER_SIZE) + payload
    codec.pack_header(buffer, attempt, offset)
    assert bytes(buffer) == frame


def test_the_largest_chunk() -> None:
    payload = bytes(MAX_PAYLOAD)
    assert len(codec.decode_chunk(encode_chunk(FIRST, 0, payload)).payload) == MAX_PAYLOAD
    with pytest.raises(RemoteProtocolError):
        codec.decode_chunk(encode_chunk(FIRST, 0, payload + b"x"))
    with pytest.raises(RemoteProtocolError):
        codec.decode_chunk(bytes(codec.HEADER_SIZE + MAX_PAYLOAD + 1))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01",
        encode_chunk(FIRST, 0, b"x")[:-1],
        b"\x02" + encode_chunk(FIRST, 0, b"x")[1:],
        encode_chunk(FIRST, 0, b"x")[:17] + bytes(4) + bytes(8) + b"x",
        encode_chunk(FIRST, 1 << 63, b"x"),
    ],
)
def test_what_is_no_chunk(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        codec.decode_chunk(frame)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_chunk_or_a_fault(frame: bytes) -> None:
    try:
        chunk = codec.decode_chunk(frame)
    except RemoteProtocolError:
        return
    assert chunk.attempt.number >= 1
    assert len(chunk.payload) > 0


@given(st.text(max_size=80))
def test_any_text_is_a_message_or_a_fault(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        codec.decode_from_agent(text)


def test_a_common_version_is_spoken() -> None:
    assert codec.negotiate(0, PROTOCOL_VERSION + 7) == PROTOCOL_VERSION
    assert codec.negotiate(PROTOCOL_VERSION, PROTOCOL_VERSION) == PROTOCOL_VERSION


@pytest.mark.parametrize(
    ("oldest", "newest"),
    [(PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 3), (0, PROTOCOL_VERSION - 1), (3, 1)],
)
def test_without_a_common_version_the_link_is_closed(oldest: int, newest: int) -> None:
    with pytest.raises(RemoteProtocolError, match="update the older") as caught:
        codec.negotiate(oldest, newest)
    assert caught.value.code is CloseCode.UNSUPPORTED_VERSION


def test_pieces_of_inputs_are_no_pieces_of_logs() -> None:
    third = AttemptId(JOB, 3)
    frame = codec.encode_input(third, 5, b"abc")
    piece = codec.decode_input(frame)
    assert (piece.attempt, piece.offset, bytes(piece.payload)) == (third, 5, b"abc")
    with pytest.raises(RemoteProtocolError, match="unknown kind 2"):
        codec.decode_chunk(frame)
    with pytest.raises(RemoteProtocolError, match="unknown kind 1"):
        codec.decode_input(encode_chunk(third, 5, b"abc"))
    with pytest.raises(LocalProtocolError):
        codec.encode_input(FIRST, 0, bytes(MAX_PAYLOAD + 1))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_piece_of_an_input_or_a_fault(frame: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert codec.decode_input(frame).attempt.number >= 1


def test_a_chunk_ends_where_an_acknowledgement_can_say_so() -> None:
    largest = (1 << 63) - 1
    chunk = codec.decode_chunk(encode_chunk(FIRST, largest - 3, b"abc"))
    assert Ack(attempt=FIRST, offset=chunk.offset + 3).offset == largest
    for offset in (largest - 2, largest, 1 << 63, (1 << 64) - 1):
        with pytest.raises(RemoteProtocolError):
            codec.decode_chunk(encode_chunk(FIRST, offset, b"abc"))


def test_messages_are_made_ready_when_first_used_or_all_at_once() -> None:
    program = (
        "from typing import get_args\n"
        "from remote_protocol import codec, messages\n"
        "from remote_protocol.spec import JobSpec\n"
        "unions = messages.AgentMessage, messages.ServerMessage\n"
        "kinds = [kind for union in unions for kind in get_args(get_args(union)[0])]\n"
        "missing = lambda: [kind for kind in kinds if not kind.__pydantic_complete__]\n"
        "kinds_of_jobs = JobSpec.kinds\n"
        "assert missing() == kinds\n"
        "codec.make_ready_from_server()\n"
        "text = codec.encode(messages.Goodbye(reason='x'))\n"
        "assert codec.decode_from_agent(text) == messages.Goodbye(reason='x')\n"
        "assert messages.Goodbye not in missing() and messages.Started in missing()\n"
        "codec.make_agent_ready()\n"
        "of_jobs = {messages.Started, messages.Ended, messages.Heartbeat}\n"
        "assert not of_jobs & set(missing()) and messages.ReadInput in missing()\n"
        "complete = lambda name: kinds_of_jobs[name].__pydantic_complete__\n"
        "ready = lambda: set(filter(complete, kinds_of_jobs))\n"
        "assert ready() == {'command'}\n"
        "codec.make_server_ready()\n"
        "from_server = get_args(get_args(messages.ServerMessage)[0])\n"
        "assert not set(from_server) & set(missing())\n"
        "assert ready() >= {'command', 'container', 'python'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_piece_of_a_content() -> None:
    frame = codec.encode_content(FIRST, 7, 5, b"abc")
    chunk = codec.decode_input(frame)
    assert isinstance(chunk, codec.ContentChunk)
    assert (chunk.attempt, chunk.number, chunk.offset) == (FIRST, 7, 5)
    assert bytes(chunk.payload) == b"abc"
    with pytest.raises(RemoteProtocolError, match="binary frame"):
        codec.decode_chunk(frame)
    with pytest.raises(LocalProtocolError):
        codec.encode_content(FIRST, 1, 0, bytes(MAX_PAYLOAD + 1))
    with pytest.raises(RemoteProtocolError):
        codec.decode_input(frame[:31])
