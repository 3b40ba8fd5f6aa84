"""Messages in parts: put together in order, bounded, and never mixed with others."""

from __future__ import annotations

import pytest

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.ids import make_ulid
from remote_protocol.limits import MAX_INVENTORY, MAX_PART
from remote_protocol.messages import Phase
from remote_protocol.parts import parts
from remote_server.domain.message_parts import PartAssembler

HELLO = m.Hello(oldest=1, newest=1, installation="i", session="0" * 26, agent_version="x")
BEAT = m.Heartbeat(seq=1)


def items(count: int) -> list[m.InventoryItem]:
    return [
        m.InventoryItem(attempt=AttemptId(make_ulid(n, bytes(10)), 1), phase=Phase.RUNNING)
        for n in range(count)
    ]


def inventory(count: int) -> list[m.AgentMessage]:
    (first, rest), *more = parts(items(count), MAX_PART)
    hello = HELLO.model_copy(update={"inventory": first, "following": rest})
    return [hello, *(m.Inventory(items=part, following=left) for part, left in more)]


@pytest.mark.parametrize("count", [0, 1, MAX_PART, MAX_PART + 1, 3 * MAX_PART, MAX_INVENTORY])
def test_an_inventory_is_whole_in_the_end(count: int) -> None:
    gathering = PartAssembler()
    *before, last = inventory(count)
    assert [gathering.hear(part) for part in before] == [None] * len(before)
    whole = gathering.hear(last)
    assert isinstance(whole, m.Hello)
    assert whole.inventory == items(count)
    assert gathering.hear(BEAT) is BEAT
    assert gathering.hear(HELLO) is HELLO


PART = m.Inventory(items=items(2), following=0)
BAD: list[list[m.AgentMessage]] = [
    [PART],
    [HELLO.model_copy(update={"following": 2})],
    [HELLO.model_copy(update={"inventory": items(1), "following": 3}), PART],
    [HELLO.model_copy(update={"inventory": items(1), "following": 1}), PART],
    [HELLO.model_copy(update={"inventory": items(1), "following": 2}), BEAT],
    [HELLO.model_copy(update={"inventory": items(1), "following": 2}), HELLO],
    [HELLO.model_copy(update={"inventory": items(1), "following": MAX_INVENTORY})],
    [HELLO.model_copy(update={"inventory": items(1), "following": 2}), m.Goodbye()],
    [HELLO.model_copy(update={"following": MAX_INVENTORY + 1})],
]


@pytest.mark.parametrize("messages", BAD)
def test_parts_follow_each_other(messages: list[m.AgentMessage]) -> None:
    gathering = PartAssembler()
    *before, last = messages
    for message in before:
        assert gathering.hear(message) is None
    with pytest.raises(RemoteProtocolError):
        gathering.hear(last)
