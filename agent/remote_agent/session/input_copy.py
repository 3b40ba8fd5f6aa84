"""The agent's copy of the input of one job, as its session fetches it. Pure.

The agent's copy is a file, and its length all the state there is: after every welcome it asks for
what follows. What comes is appended once; what was lost on the way is asked for again. A copy that
the disk does not take is asked for once more with the next tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from remote_agent.session.effects import AppendInput, Effect, EndInput, Send
from remote_agent.session.events import InputReceived
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import WINDOW
from remote_protocol.stream import Duplicate, Gap, place

ACK_AFTER: Final = WINDOW // 4
"""Bytes after which the server is told what has arrived."""


@dataclass(slots=True)
class InputCopy:
    """The agent's copy of one input."""

    size: int = 0
    """Bytes that are in it."""
    ended: bool = False
    """Whether those are all."""
    acked: int = 0
    """What the server was told of."""
    asked: bool = False
    """It was asked for what follows `size`, and that has not come yet."""
    failing: bool = False
    """The disk does not take it now."""

    def ask(self, key: AttemptId) -> list[Effect]:
        """Have the server send what follows."""
        if self.ended:
            return []
        self.acked, self.asked, self.failing = self.size, True, False
        return [Send(m.ReadInput(attempt=key, offset=self.size))]

    def take(self, event: InputReceived) -> list[Effect]:
        """A piece of it came."""
        if self.ended or self.failing:
            return []
        where = place(self.size, event.offset, len(event.payload))
        if isinstance(where, Duplicate):
            return []
        if isinstance(where, Gap):
            # Sent before the question was read: its answer starts where the copy ends.
            return [] if self.asked else self.ask(event.key)
        self.asked = False
        return [AppendInput(event.key, self.size, event.payload[where.skip :])]

    def stored(self, key: AttemptId, size: int) -> list[Effect]:
        """The copy has so many bytes now."""
        self.size = size
        if size - self.acked < ACK_AFTER:
            return []
        self.acked = size
        return [Send(m.InputAck(attempt=key, offset=size))]

    def finish(self, key: AttemptId, size: int) -> list[Effect]:
        """The server says that the whole input has `size` bytes."""
        if self.ended or self.failing:
            return []
        if self.size < size:
            return [] if self.asked else self.ask(key)
        return [EndInput(key, self.size)]
