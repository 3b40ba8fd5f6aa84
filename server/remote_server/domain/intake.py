"""How one attempt's log arrives: appended, asked for again, judged at its end. Pure.

At most one rewind is under way, so that what comes after it can be told from what was sent before:
its answer is the chunk at the offset asked for, or `missing`. A damaged copy is kept until better
bytes are here: the answering chunk replaces everything from its offset on. What the agent has no
more stays as the server has it, and the end is settled without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from remote_protocol import messages as m
from remote_protocol.stream import Append, Duplicate, Gap, place
from remote_server.domain.events import (
    AppendLog,
    ChunkReceived,
    Effect,
    FillLog,
    Finished,
    LogVerified,
    Record,
    Send,
    TruncateLog,
)
from remote_server.domain.model import Key

MOST_MISMATCHES: Final = 3
"""Times that a log is compared in vain on one link before its end is settled as it is."""


@dataclass(slots=True)
class Intake:
    """What a session must know of one log."""

    key: Key
    asked: int | None = None
    """Offset of the rewind that is not answered yet."""
    missing: int = 0
    """The agent cannot send all before this offset."""
    mismatches: int = 0

    def hello(self) -> None:
        """The agent starts at the file's length: no answer is awaited any more."""
        if self.asked is not None:
            self.asked = None
            # It was never sent again: that was no comparison in vain.
            self.mismatches = max(0, self.mismatches - 1)

    def chunk(self, event: ChunkReceived) -> list[Effect]:
        """Append it, once."""
        offset, length = event.offset, event.length
        ack = _ack(self.key, offset + event.size)
        if offset == self.asked:
            self.asked = None
            if offset < length:
                return [TruncateLog(self.key, offset), AppendLog(self.key, 0, ack)]
        match place(length, offset, event.size):
            case Append(skip):
                return [AppendLog(self.key, skip, ack)]
            case Duplicate():
                return [_ack(self.key, length)]
            case Gap(expected):
                return self._ask(expected)

    def missed(self, offset: int) -> list[Effect]:
        """The agent goes on at `offset`; what is missing before it will never come."""
        self.missing = max(self.missing, offset)
        self.asked = offset
        return [FillLog(self.key, offset)]

    def stale(self, ended: m.Ended) -> bool:
        """Whether the agent said this before it read the rewind under way: it will say it again."""
        return self.asked is not None and self.asked < ended.size

    def judge(self, event: LogVerified) -> list[Effect]:
        """The log was compared with what the agent says it is."""
        ended = event.ended
        self.asked = None
        if event.length < ended.size:
            return self._ask(event.length)
        torn = "" if event.matches else self._torn()
        if event.matches or torn:
            return [Record(Finished(self.key, ended, torn), (_settled(self.key),))]
        return self._ask(0)

    def _torn(self) -> str:
        """The log differs: why it stays so; empty while it is worth another try."""
        self.mismatches += 1
        if self.missing and self.mismatches > 1:
            return (
                f"the server's copy differs from what the job wrote, and its agent has not "
                f"everything before byte {self.missing} any more; what was lost stays lost"
            )
        if self.mismatches >= MOST_MISMATCHES:
            return (
                f"the server's copy differs from what the job wrote, also after it was sent "
                f"{self.mismatches} times"
            )
        return ""

    def _ask(self, offset: int) -> list[Effect]:
        if self.asked == offset:
            return []
        self.asked = offset
        return [Send(m.Rewind(job=self.key.job, attempt=self.key.attempt, offset=offset))]


def _settled(key: Key) -> Send:
    return Send(m.Settled(job=key.job, attempt=key.attempt))


def _ack(key: Key, offset: int) -> Send:
    return Send(m.Ack(job=key.job, attempt=key.attempt, offset=offset))
