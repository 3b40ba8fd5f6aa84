"""Looks for words in the lines of a log. Reads logs, a part of one at a time."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Final

from remote_server.web.logs.index import LineIndex
from remote_server.web.logs.lines import LineCounter
from remote_server.web.logs.reading import LogReader

MOST_HITS: Final = 1000
"""Lines that one call finds."""
_LONGEST_ESCAPE: Final = 1024
"""Bytes of a control sequence that goes on in the next record."""
_ESCAPES: Final = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])"
)
"""Control sequences of a terminal (ECMA-48 §5.4), which may stand within words."""


@dataclass(slots=True)
class Found:
    """What a part of a log has."""

    hits: list[tuple[int, int]] = field(default_factory=list)
    """Of each line that has the words: its number, and its place among those of its stream. One
    that began before this part may have been found before."""
    at: int = 0
    """Position in the stored log up to which was looked: go on from there."""


def folded(data: bytes) -> bytes:
    """What is compared: without colours, letters A to Z in lower case."""
    return (_ESCAPES.sub(b"", data) if b"\x1b" in data else data).lower()


async def find(
    index: LineIndex,
    reader: LogReader,
    words: str,
    offset: int,
    seconds: float,
    stream: str | None = None,
) -> Found:
    """Lines that have these words from a position on, as far as lines are counted; for so long at
    the most. LogUnavailable."""
    start, end = index.at(offset), index.place.offset
    search = _Search(LineCounter(start), folded(words.encode()), offset, stream)
    until = time.monotonic() + seconds

    def take(data: bytes) -> bool:
        search.look(data)
        # What lies before the position is gone through again: lines may begin there.
        early = search.at <= offset
        return early or (len(search.hits) < MOST_HITS and time.monotonic() < until)

    await reader.go_through(start.offset, end, take)
    return search.found


class _Search:
    def __init__(self, counter: LineCounter, words: bytes, offset: int, stream: str | None) -> None:
        self.hits: dict[int, int] = {}
        self._counter = counter
        self._words = words
        self._offset = offset
        self._stream = stream
        self._carried: dict[str, bytes] = {}

    @property
    def at(self) -> int:
        """Up to where it has looked."""
        return self._counter.offset

    @property
    def found(self) -> Found:
        """What it has found so far."""
        return Found(sorted(self.hits.items()), max(self._offset, self._counter.offset))

    def look(self, data: bytes) -> None:
        """Look through whole records."""
        if self._words not in folded(data) and self._counter.skip(data):
            return
        for part in self._counter.parts(data):
            text = part.content
            if not part.begins:
                text = self._carried.get(part.stream, b"") + text
            text = folded(text)
            if part.ends:
                self._carried.pop(part.stream, None)
            else:
                self._carried[part.stream] = text[self._kept_from(text) :]
            if self._stream is not None and part.stream != self._stream:
                continue
            if self._counter.offset > self._offset and self._words in text:
                self.hits[part.number] = part.ordinal

    def _kept_from(self, text: bytes) -> int:
        """From where on a line's text may be the beginning of words that its next record ends:
        a line of many small records must not be gone through as often as it has records."""
        end = len(text)
        escape = text.rfind(b"\x1b", max(0, end - _LONGEST_ESCAPE))
        return max(0, (end if escape < 0 else escape) - len(self._words) + 1)
