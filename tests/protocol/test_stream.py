"""Offset arithmetic: whatever the link does, the receiver's file becomes the sender's spool."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol.errors import LocalProtocolError, RemoteProtocolError
from remote_protocol.limits import MAX_PAYLOAD, WINDOW
from remote_protocol.stream import Append, Cursor, Duplicate, Gap, place


@pytest.mark.parametrize(
    ("length", "offset", "size", "answer"),
    [
        (0, 0, 5, Append(0)),
        (5, 5, 5, Append(0)),
        (5, 3, 5, Append(2)),
        (5, 0, 6, Append(5)),
        (5, 0, 5, Duplicate()),
        (5, 1, 2, Duplicate()),
        (5, 6, 1, Gap(5)),
        (0, 1, 1, Gap(0)),
    ],
)
def test_where_a_chunk_goes(length: int, offset: int, size: int, answer: object) -> None:
    assert place(length, offset, size) == answer


def test_a_chunk_is_bounded_by_payload_window_and_spool() -> None:
    cursor = Cursor()
    assert cursor.next_chunk() == (0, 0)
    cursor.grow(10 * WINDOW)
    while (chunk := cursor.next_chunk())[1]:
        assert chunk == (cursor.sent, MAX_PAYLOAD)
        cursor.advance(chunk[1])
    assert cursor.sent - cursor.acked == WINDOW
    cursor.ack(100)
    assert cursor.next_chunk() == (WINDOW, 100)
    small = Cursor(size=7)
    assert small.next_chunk() == (0, 7)


def test_an_old_report_changes_nothing() -> None:
    cursor = Cursor(size=7)
    cursor.grow(3)
    assert cursor.size == 7


def test_an_old_ack_changes_nothing() -> None:
    cursor = Cursor(size=7, sent=7, acked=5)
    cursor.ack(3)
    assert cursor.acked == 5


def test_an_ack_beyond_what_was_sent_spares_sending_it() -> None:
    cursor = Cursor(size=9, sent=2)
    cursor.ack(6)
    assert cursor.next_chunk() == (6, 3)


def test_a_rewind_may_go_back_before_what_was_acknowledged() -> None:
    cursor = Cursor(size=9, sent=9, acked=9)
    cursor.rewind(4)
    assert cursor == Cursor(size=9, sent=4, acked=4)


def test_who_is_guilty() -> None:
    with pytest.raises(LocalProtocolError):
        Cursor(size=3).advance(4)
    with pytest.raises(LocalProtocolError):
        Cursor(size=3, sent=2).advance(-1)
    with pytest.raises(RemoteProtocolError):
        Cursor(size=3).ack(4)
    with pytest.raises(RemoteProtocolError):
        Cursor(size=3).rewind(4)
    with pytest.raises(RemoteProtocolError):
        Cursor(size=3).rewind(-1)


STEP = st.sampled_from(["write", "send", "deliver", "lose link", "ack", "truncate"])


@given(st.lists(st.tuples(STEP, st.integers(1, 9)), max_size=120))
def test_the_file_becomes_the_spool(steps: list[tuple[str, int]]) -> None:
    spool, file = bytearray(), bytearray()
    cursor = Cursor()
    flying: list[tuple[int, bytes]] = []

    def deliver() -> None:
        offset, payload = flying.pop(0)
        match place(len(file), offset, len(payload)):
            case Append(skip):
                file.extend(payload[skip:])
            case Gap(expected):
                cursor.rewind(expected)

    for step, number in steps:
        if step == "write":
            spool.extend(bytes([number]) * number)
            cursor.grow(len(spool))
        elif step == "send":
            offset, length = cursor.next_chunk(window=20, largest=number)
            if length:
                flying.append((offset, bytes(spool[offset : offset + length])))
                cursor.advance(length)
        elif step == "deliver" and flying:
            deliver()
        elif step == "lose link":
            del flying[number % (len(flying) + 1) :]
            while flying:
                deliver()
            cursor.rewind(len(file))
        elif step == "truncate":
            del file[len(file) // 2 :]
        elif step == "ack":
            cursor.ack(len(file))
        assert 0 <= cursor.acked <= cursor.sent <= cursor.size == len(spool)
        assert spool.startswith(file)
    cursor.rewind(len(file))
    flying.clear()
    while (chunk := cursor.next_chunk())[1]:
        flying.append((chunk[0], bytes(spool[chunk[0] : chunk[0] + chunk[1]])))
        cursor.advance(chunk[1])
        deliver()
        cursor.ack(len(file))
    assert file == spool
