"""What the server says: each type has a name of its own, and is part of the union that is read."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from remote_protocol import codec, server_messages
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.limits import MAX_SECRETS_SIZE
from remote_protocol.server_messages import Confirm, InputEnd, ServerMessage

JOB = "01ARYZ6S410000000000000000"


def test_every_message_is_read_by_its_type() -> None:
    kinds = get_args(get_args(ServerMessage)[0])
    assert {kind.__module__ for kind in kinds} == {server_messages.__name__}
    assert len({kind.model_fields["type"].default for kind in kinds}) == len(kinds)


def test_the_end_of_an_input_goes_over_the_wire() -> None:
    message = InputEnd(attempt=AttemptId(JOB, 2), size=1 << 40)
    assert codec.decode_from_server(codec.encode(message)) == message


def test_a_confirmation_shows_no_value_of_a_secret() -> None:
    message = Confirm(attempt=AttemptId(JOB, 1), secrets={"A": "hush"}, withheld={"B": "why"})
    assert codec.decode_from_server(codec.encode(message)) == message
    assert "hush" not in repr(message) + str(message)
    with pytest.raises(ValidationError) as caught:
        Confirm.model_validate({"attempt": f"{JOB}.1", "secrets": {"A": ["hush"]}})
    assert "hush" not in str(caught.value)
    frame = codec.encode(message).replace("hush", "hush" * (MAX_SECRETS_SIZE // 4), 1)
    with pytest.raises(RemoteProtocolError, match="at most 1 MiB can be given") as refused:
        codec.decode_from_server(frame)
    assert "hush" not in str(refused.value)
