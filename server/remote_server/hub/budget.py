"""How fast an agent may speak: token buckets of messages, heartbeats, bytes and chunks. Pure.

Over its budget a link is read no faster than it may speak, so that its agent waits in its own
socket; when that goes on, the link is closed with words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_SLOWED: Final = 30.0
"""Seconds for which a link may be slowed without a break before it is closed."""
BREAK: Final = 1.0
"""Seconds within the budget after which that time is counted from zero."""

_RARE: Final = frozenset({"heartbeat", "own_log"})
"""Messages with a budget of their own."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many units a second, and so many at once."""

    each: float
    burst: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What one link may cost. Honest agents stay far below: they say three messages about a job,
    once more each after a welcome, and beat some times a minute."""

    messages: Rate = Rate(2_000, 80_000)
    heartbeats: Rate = Rate(200, 2_000)
    """One for each offer of a job with `stop_after`, else some a minute."""
    size: Rate = Rate(1024**2, 16 * 1024**2)
    """Bytes of messages, not of logs."""
    chunks: Rate = Rate(10_000, 20_000)
    own_logs: Rate = Rate(5, 60)
    """Pieces of the agent's own log: it sends one a second at the most, each a small write here."""


class Bucket:
    """One budget. `now` is monotonic seconds."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at = now

    def spend(self, amount: float, now: float) -> float:
        """Take some; seconds to wait until the budget is in balance again."""
        rate = self._rate
        self._left = min(rate.burst, self._left + (now - self._at) * rate.each) - amount
        self._at = now
        return 0.0 if self._left >= 0 else -self._left / rate.each


class Budget:
    """All budgets of one link. `wait` is what the link has to wait before it is read again."""

    __slots__ = (
        "_at",
        "_bytes",
        "_chunks",
        "_count",
        "_heartbeats",
        "_messages",
        "_own_logs",
        "_since",
        "_size",
        "_until",
    )

    def __init__(self, rates: Rates, now: float) -> None:
        # Two buckets that are always spent from together, in one: this is on every job's way.
        self._count, self._messages = rates.messages.burst, rates.messages
        self._bytes, self._size = rates.size.burst, rates.size
        self._at = now
        self._heartbeats = Bucket(rates.heartbeats, now)
        self._own_logs = Bucket(rates.own_logs, now)
        self._chunks = Bucket(rates.chunks, now)
        self._since: float | None = None
        self._until = now

    def message(self, kind: str, size: int, now: float) -> float:
        """A message came; seconds to wait."""
        passed, self._at = now - self._at, now
        messages, sizes = self._messages, self._size
        count = self._count + passed * messages.each
        if count > messages.burst:
            count = messages.burst
        left = self._bytes + passed * sizes.each
        if left > sizes.burst:
            left = sizes.burst
        self._count = count = count - 1
        self._bytes = left = left - size
        if count >= 0 and left >= 0 and kind not in _RARE:
            return 0.0
        wait = max(0.0, -count / messages.each, -left / sizes.each)
        if kind == "heartbeat":
            wait = max(wait, self._heartbeats.spend(1, now))
        elif kind == "own_log":
            wait = max(wait, self._own_logs.spend(1, now))
        return self._slowed(wait, now) if wait else 0.0

    def chunk(self, now: float) -> float:
        """A chunk came; seconds to wait."""
        wait = self._chunks.spend(1, now)
        return self._slowed(wait, now) if wait else 0.0

    def _slowed(self, wait: float, now: float) -> float:
        if self._since is None or now - self._until > BREAK:
            self._since = now
        self._until = now + wait
        return wait

    def spent(self, now: float) -> bool:
        """Whether the agent goes on for too long, although it is slowed."""
        if self._since is None or now - self._until > BREAK:
            return False
        return now - self._since > MAX_SLOWED
