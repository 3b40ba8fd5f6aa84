"""What agents say: each type has a name of its own, and is part of the union that is read."""

from __future__ import annotations

from typing import get_args

from remote_protocol import agent_messages, codec
from remote_protocol.agent_messages import AgentMessage, InputAck, ReadInput
from remote_protocol.attempt_id import AttemptId

JOB = "01ARYZ6S410000000000000000"


def test_every_message_is_read_by_its_type() -> None:
    kinds = get_args(get_args(AgentMessage)[0])
    assert {kind.__module__ for kind in kinds} == {agent_messages.__name__}
    assert len({kind.model_fields["type"].default for kind in kinds}) == len(kinds)


def test_questions_for_inputs_go_over_the_wire() -> None:
    for message in (
        ReadInput(attempt=AttemptId(JOB, 2), offset=0),
        InputAck(attempt=AttemptId(JOB, 2), offset=1 << 40),
    ):
        assert codec.decode_from_agent(codec.encode(message)) == message
