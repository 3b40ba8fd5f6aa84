"""A simulated link: two queues that may be slow, frozen, cut, or lose what is in flight."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Message


@dataclass(frozen=True)
class Bytes:
    """A chunk frame."""

    key: AttemptId
    offset: int
    payload: bytes


class Closed:
    """The end of a link, as its peer sees it."""


Frame = Message | Bytes | Closed


@dataclass(eq=False)
class Link:
    """One WebSocket. Each direction keeps its order and delivers a prefix of what was sent."""

    agent: str
    up: deque[Frame] = field(default_factory=deque)
    down: deque[Frame] = field(default_factory=deque)
    agent_end: bool = True
    server_end: bool = True
    broken: bool = False
    frozen: bool = False

    def send_up(self, frame: Frame) -> None:
        if self.agent_end and not self.broken:
            self.up.append(frame)

    def send_down(self, frame: Frame) -> None:
        if self.server_end and not self.broken:
            self.down.append(frame)

    def close_by_agent(self) -> None:
        self.send_up(Closed())
        self.agent_end = False
        self.down.clear()

    def close_by_server(self) -> None:
        self.send_down(Closed())
        self.server_end = False
        self.up.clear()

    def cut(self, rng: Random) -> None:
        """Lose any suffix of each direction; each end may or may not be told."""
        if self.broken:
            return
        self.broken, self.frozen = True, False
        for queue in (self.up, self.down):
            for _ in range(rng.randint(0, len(queue))):
                queue.pop()
            if rng.random() < 0.7:
                queue.append(Closed())
