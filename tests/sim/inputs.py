"""Inputs of simulated jobs: what their senders have to send, and how much of it has arrived."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass
class SentInput:
    """The input of one job. `size` and `ended` are what the server has; they survive anything."""

    whole: bytes
    size: int = 0
    ended: bool = False

    def send(self, rng: Random) -> None:
        """Append some of it, or its end, or nothing."""
        self.size = min(len(self.whole), self.size + rng.randint(0, 12))
        self.ended = self.size == len(self.whole) and rng.random() < 0.5
