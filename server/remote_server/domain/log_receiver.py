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
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import settled
from remote_protocol.stream import Append, Duplicate, Gap, place
from remote_server.domain.changes import Finished
from remote_server.domain.events import (
    AppendLog,
    ChunkReceived,
    Effect,
    FillLog,
    LogVerified,
    Record,
    Send,
    TruncateLog,
)

WIDEST: Final = 48
"""Bytes of a log for one byte of a job's output: a line of one byte has a time before it. No agent
that keeps the job's cap needs more."""
SLACK: Final = 1024 * 1024
"""Bytes beyond that: what the shim says itself, and what it had read when the cap was reached."""
HOLE: Final = 1024 * 1024 * 1024
"""Bytes that may be left out at once because nobody has them any more."""
MOST_MISMATCHES: Final = 3
"""Times that a log is compared in vain on one link before its end is settled as it is."""


def most_stored(*caps: int | None) -> int:
    """Bytes of a log that are stored, with these caps of the job's output."""
    given = [cap for cap in caps if cap is not None]
    return min(given) * WIDEST + SLACK if given else 1 << 62


@dataclass(slots=True)
class LogReceiver:
    """What a session must know of one log."""

    key: AttemptId
    asked: int | None = None
    """Offset of the rewind that is not answered yet."""
    missing: int = 0
    """The agent cannot send all before this offset."""
    mismatches: int = 0
    limit: int = 1 << 62
    """Bytes that are stored; what comes beyond them is acknowledged and dropped."""
    full: str = ""
    """Why nothing more is stored, in words."""
    may_miss: bool = True
    """The server has named an offset since the agent last said `missing`: only then it may."""

    def hello(self) -> None:
        """The agent starts at the file's length: no answer is awaited any more."""
        self.may_miss = True
        if self.asked is not None:
            self.asked = None
            # It was never sent again: that was no comparison in vain.
            self.mismatches = max(0, self.mismatches - 1)

    def chunk(self, event: ChunkReceived) -> list[Effect]:
        """Append it, once."""
        offset, length = event.offset, event.length
        ack = _ack(self.key, offset + event.size)
        if self.full:
            return [ack]
        if offset == self.asked:
            self.asked = None
            if offset < length:
                return [TruncateLog(self.key, offset), self._append(0, event.size, offset, ack)]
        match place(length, offset, event.size):
            case Append(skip):
                return [self._append(skip, event.size, length, ack)]
            case Duplicate():
                return [_ack(self.key, length)]
            case Gap(expected):
                return self._ask(expected)

    def _append(self, skip: int, size: int, length: int, ack: Send) -> Effect:
        """Append what there is room for; the first byte beyond it is the last one looked at."""
        room = self.limit - length
        if size - skip <= room:
            return AppendLog(self.key, skip, ack)
        self.full = (
            f"the agent sent more than a job's log may have: {self.limit} bytes are kept, the rest "
            "was not stored"
        )
        return AppendLog(self.key, skip, ack, max(0, room))

    def missed(self, offset: int, length: int) -> list[Effect]:
        """The agent goes on at `offset`; what is missing before it will never come. `length`: that
        of the server's file. It answers a rewind or a hello; said otherwise it means nothing."""
        if not self.may_miss or self.full:
            return []
        self.may_miss = False
        if offset > self.limit or offset - length > HOLE:
            self.full = f"the agent has not the {offset - length} bytes that the log lacks any more"
            return []
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
        if self.full:
            # What is shown and counted is what is there, whatever the agent says.
            stored = ended.model_copy(update={"size": min(ended.size, event.length)})
            return [Record(Finished(self.key, stored, self.full), (_settled(self.key),))]
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
        self.may_miss = True
        return [Send(m.Rewind(attempt=self.key, offset=offset))]


def _settled(key: AttemptId) -> Send:
    return Send(settled(key))


def _ack(key: AttemptId, offset: int) -> Send:
    return Send(m.Ack(attempt=key, offset=offset))
