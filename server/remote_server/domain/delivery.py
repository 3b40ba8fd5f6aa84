"""How the inputs of jobs are sent to their agent on one link: what next, how much at most. Pure.

The agent says how long its copy is (`read_input`), and gets what follows: what is there now, what
comes later, and the size once the input is complete. At most a window of bytes is on its way for
each attempt; the agent acknowledges what it has written. Nothing is remembered beyond the link:
after each welcome the agent asks again.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.stream import Cursor
from remote_server.domain.events import Effect, InputChanged, InputRead, Send, SendInputs


@dataclass(slots=True)
class _Reading:
    cursor: Cursor
    size: int
    """Bytes that the server has."""
    ended: bool
    """Whether those are all."""
    told: bool = False
    """Whether the agent was told so since it asked last."""
    queued: bool = False
    """It stands in the round of attempts with something to send."""
    handed: int | None = None
    """Offset of the chunk that is being sent."""


class Delivery:
    """The inputs that one agent reads on one link."""

    def __init__(self) -> None:
        self._readings: dict[AttemptId, _Reading] = {}
        # No deque, whose first block takes 700 bytes: an agent reads few inputs, or none.
        self._round: list[AttemptId] = []

    def hello(self) -> None:
        """The agent compares everything anew, and asks again for what it wants."""
        self._readings.clear()
        self._round.clear()

    def drop(self, key: AttemptId) -> None:
        """There is nothing to send any more."""
        self._readings.pop(key, None)

    def keep(self, live: Container[AttemptId]) -> None:
        """Only these attempts are the agent's now."""
        for key in [key for key in self._readings if key not in live]:
            del self._readings[key]

    def read(self, event: InputRead) -> list[Effect]:
        """The agent's copy has so many bytes: send what follows."""
        # Only beside a restored, older server can the agent have more: then nothing follows yet.
        cursor = Cursor(max(event.size, event.offset), event.offset, event.offset)
        reading = _Reading(cursor, event.size, event.ended)
        former = self._readings.get(event.key)
        reading.queued = former is not None and former.queued
        self._readings[event.key] = reading
        return self._go_on(event.key, reading)

    def acked(self, key: AttemptId, offset: int) -> list[Effect]:
        """The agent has written all before `offset`. RemoteProtocolError when it was never sent."""
        reading = self._readings.get(key)
        if reading is None:
            return []
        reading.cursor.ack(offset)
        return self._go_on(key, reading)

    def changed(self, event: InputChanged) -> list[Effect]:
        """More of a job's input is here, or its end."""
        effects: list[Effect] = []
        for key, reading in self._readings.items():
            if key.job == event.job:
                reading.size, reading.ended = event.size, event.ended
                reading.cursor.grow(event.size)
                effects += self._go_on(key, reading)
        return effects

    def next_chunk(self) -> tuple[AttemptId, int, int] | None:
        """`(key, offset, length)` of what to send next, attempt by attempt in turns."""
        while self._round:
            key = self._round.pop(0)
            reading = self._readings.get(key)
            if reading is None:
                continue
            offset, length = reading.cursor.next_chunk()
            if length:
                self._round.append(key)
                reading.handed = offset
                return key, offset, length
            reading.queued = False
        return None

    def sent(self, key: AttemptId, length: int) -> list[Effect]:
        """The chunk handed out last is on the link."""
        reading = self._readings.get(key)
        # When the agent has asked again in between, this chunk is an old one.
        if reading is None or reading.handed != reading.cursor.sent:
            return []
        reading.handed = None
        reading.cursor.advance(length)
        return self._go_on(key, reading)

    def _go_on(self, key: AttemptId, reading: _Reading) -> list[Effect]:
        if reading.ended and not reading.told and reading.cursor.sent >= reading.size:
            reading.told = True
            return [Send(m.InputEnd(attempt=key, size=reading.size))]
        if reading.queued or not reading.cursor.next_chunk()[1]:
            return []
        reading.queued = True
        self._round.append(key)
        return [SendInputs()]
