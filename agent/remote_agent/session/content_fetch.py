"""One content on its way to this agent: what to ask for next. Pure.

What has come is a file, and its length all the state there is: the agent asks for ranges beyond it,
a few at a time, and asks again for what does not come.
"""

from __future__ import annotations

from typing import Final

from remote_protocol.contents import ContentRef
from remote_protocol.limits import MAX_CONTENT_PART
from remote_protocol.stream import Append, place

WINDOW: Final = 4 * MAX_CONTENT_PART
"""Bytes that are asked for and have not come."""
UNANSWERED: Final = 30.0
"""Seconds without a byte after which what was asked for is asked for again."""
MOST_ROUNDS: Final = 3
"""Times that a content is fetched whole that turns out to be another one."""


class ContentFetch:
    """A content of which `have` bytes are here. `now` is monotonic seconds."""

    def __init__(self, content: ContentRef, have: int, now: float) -> None:
        self.content = content
        self.have = have
        self.rounds = 0
        """Times that all of it came, and was another one."""
        self._asked = have
        self._heard_at = now

    @property
    def complete(self) -> bool:
        """Whether all bytes have come."""
        return self.have == self.content.size

    def again(self) -> None:
        """What was asked for and has not come is asked for again: the link is gone, or whoever it
        was asked for needs it no more."""
        self._asked = self.have

    def wrong(self) -> bool:
        """All of it came, and was another content: begin from nothing; whether that is worth it."""
        self.rounds += 1
        self.have = self._asked = 0
        return self.rounds < MOST_ROUNDS

    def requests(self, now: float) -> list[tuple[int, int]]:
        """`(offset, size)` of the ranges to ask for now."""
        if self._asked > self.have and now - self._heard_at > UNANSWERED:
            self.again()
        if self._asked == self.have:
            self._heard_at = now
        found = []
        end = min(self.content.size, self.have + WINDOW)
        while self._asked < end:
            size = min(MAX_CONTENT_PART, self.content.size - self._asked)
            if self._asked + size > end:
                break
            found.append((self._asked, size))
            self._asked += size
        return found

    def received(self, offset: int, length: int, now: float) -> int | None:
        """A piece came; how many of its bytes are here already, None: nothing of it is of use."""
        where = place(self.have, offset, length)
        if not isinstance(where, Append) or offset + length > self.content.size:
            return None
        self.have += length - where.skip
        self._asked = max(self._asked, self.have)
        self._heard_at = now
        return where.skip
