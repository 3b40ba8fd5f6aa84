"""What the server says: each type has a name of its own, and is part of the union that is read."""

from __future__ import annotations

from typing import get_args

from remote_protocol import codec, server_messages
from remote_protocol.attempt_id import AttemptId
from remote_protocol.server_messages import InputEnd, ServerMessage

JOB = "01ARYZ6S410000000000000000"


def test_every_message_is_read_by_its_type() -> None:
    kinds = get_args(get_args(ServerMessage)[0])
    assert {kind.__module__ for kind in kinds} == {server_messages.__name__}
    assert len({kind.model_fields["type"].default for kind in kinds}) == len(kinds)


def test_the_end_of_an_input_goes_over_the_wire() -> None:
    message = InputEnd(attempt=AttemptId(JOB, 2), size=1 << 40)
    assert codec.decode_from_server(codec.encode(message)) == message
