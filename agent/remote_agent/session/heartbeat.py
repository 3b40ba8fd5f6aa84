"""Heartbeats of one agent: when one is due, what an answer proves, when the server is silent. Pure.

Times are seconds of a clock that never jumps and that counts the host's sleep.
"""

from __future__ import annotations

from typing import Final

from remote_protocol.errors import RemoteProtocolError
from remote_protocol.messages import HeartbeatAck

FIRST_INTERVAL: Final = 15.0
"""Heartbeat interval until the first welcome says another one, in seconds."""
SILENCE: Final = 2.5
"""Heartbeat intervals without a message from the server after which the link counts as dead."""
PROOFS: Final = 3
"""Heartbeats within the shortest absence of the server that a held job tolerates."""
MISMATCHES: Final = 2
"""Heartbeats in a row with another count of attempts after which the agent says hello again."""


class Heartbeats:
    """Those of the present link."""

    def __init__(self) -> None:
        self.interval = FIRST_INTERVAL
        self.confirmed_at = 0.0
        """When the newest message was sent that the server is known to have answered."""
        self._heard_at = 0.0
        self._sent_at = 0.0
        self._seq = 0
        self._open = 0
        self._mismatches = 0

    def restart(self, now: float) -> None:
        """A new link; its hello is sent now."""
        self._heard_at = self._sent_at = self.confirmed_at = now
        self._mismatches = 0

    def heard(self, now: float) -> None:
        """Something came from the server."""
        self._heard_at = now

    def silent_for(self, now: float) -> float | None:
        """Seconds without a message, when they are too many."""
        silence = now - self._heard_at
        return silence if silence > SILENCE * self.interval else None

    def due(self, now: float, shortest_absence: float) -> bool:
        """Whether to send one. `shortest_absence`: seconds without the server that end a job."""
        pace = self.interval
        if self.confirmed_at >= self._sent_at:
            # Else it is not answered yet: one more would make the answer on its way an old one.
            pace = min(pace, shortest_absence / PROOFS)
        return now - self._sent_at >= pace

    def send(self, now: float, open_attempts: int) -> int:
        """The number of a heartbeat that is sent now; the server counts so many attempts."""
        self._seq += 1
        self._sent_at = now
        self._open = open_attempts
        return self._seq

    def answered(self, ack: HeartbeatAck) -> bool:
        """Whether the newest one was answered. RemoteProtocolError for one never sent."""
        if ack.seq > self._seq:
            raise RemoteProtocolError(f"heartbeat {ack.seq} was never sent")
        if ack.seq < self._seq:
            return False
        self.confirmed_at = self._sent_at
        self._mismatches = self._mismatches + 1 if ack.leases != self._open else 0
        return True

    def out_of_step(self) -> bool:
        """Whether both sides have counted different attempts too often; asked once each time."""
        if self._mismatches < MISMATCHES:
            return False
        self._mismatches = 0
        return True
