"""Where the lines of a log are: counted when somebody looks, and kept for who looks again.

A log of a gigabyte is counted in seconds; until then its beginning and its end can be shown. Every
few hundred kilobytes a place is kept, from which any line near it is found. Reads logs.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import Final

from remote_protocol.attempt_id import AttemptId
from remote_server.web.logs.lines import Line, LineCounter, Part, Place
from remote_server.web.logs.reading import LARGE, LogReader

SPACING: Final = 256 * 1024
MOST_PLACES: Final = 4096
"""Of one log; then every second one is dropped, and they are twice as far apart."""
MOST_LOGS: Final = 64
AHEAD: Final = 1024 * 1024
"""Bytes that are looked through for the end of lines that have begun."""
MOST_TEXT: Final = 512 * 1024
"""Bytes of lines that are handed out at once; one line more at the most."""
LOOKING: Final = 0.5
"""Seconds for which one call looks for more lines when it has some: between two lines of one stream
there may be gigabytes of the other, or of a line that never ends."""
_FAR: Final = 64 * 1024
_MOST_FAR: Final = 32
"""Lines whose records lie far from each other, of which the text is kept for each log: bars that
show how far something is, while the other stream prints."""


class LineIndex:
    """The lines of one log, as far as they are counted. Every position given to it is one at which
    the log has been so far."""

    def __init__(self) -> None:
        self._counter = LineCounter()
        self._places = [Place()]
        self._spacing = SPACING
        self._open: dict[str, Line] = {}
        self._far: OrderedDict[int, Line] = OrderedDict()
        self._counting = asyncio.Lock()
        self.looked = 0
        """Position up to which it was looked: a record that is cut there is not counted yet."""

    @property
    def place(self) -> Place:
        """Up to where lines are counted."""
        return self._counter.place

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """What is missing in what was counted: after which line, and how many bytes."""
        return self._counter.gaps

    @property
    def unfinished(self) -> list[Line]:
        """Lines that have begun and not ended."""
        return [*self._open.values()]

    async def count(self, reader: LogReader, size: int, seconds: float, row: int = 0) -> bool:
        """Count on, up to the position `size`, for so long at the most, or until there are `row`
        lines if it is not 0; whether all was counted. LogUnavailable."""
        ends = time.monotonic() + seconds
        async with self._counting:
            place = self.place
            if place.offset < size and time.monotonic() < ends:
                broken_off = False

                def take(data: bytes) -> bool:
                    nonlocal broken_off
                    self._take(data)
                    enough = row and self._places[-1].begun() > row
                    broken_off = bool(enough) or time.monotonic() >= ends
                    return not broken_off

                await reader.go_through(place.offset, size, take, LARGE)
                if not broken_off:
                    self.looked = max(self.looked, size)
            self.looked = max(self.looked, self.place.offset)
            return self.place.offset >= size

    def _take(self, data: bytes) -> None:
        counter = self._counter
        if not counter.skip(data):
            begins = counter.place.offset
            for part in counter.parts(data):
                self._follow(part, begins)
        place = counter.place
        if place.offset - self._places[-1].offset >= self._spacing:
            self._places.append(place)
            if len(self._places) > MOST_PLACES:
                del self._places[1::2]
                self._spacing *= 2

    def _follow(self, part: Part, at: int) -> None:
        """Keep the text of lines that have no end yet, or whose end came late."""
        if part.begins:
            if not part.ends:
                self._open[part.stream] = Line(part, at)
            return
        line = self._open.get(part.stream)
        if line is None:
            return
        line.add(part)
        if part.ends:
            del self._open[part.stream]
            if at - line.begins_at >= _FAR:
                self._far[part.number] = line
                if len(self._far) > _MOST_FAR:
                    self._far.popitem(last=False)

    def before(self, row: int, stream: str | None = None) -> Place:
        """The last known place before the line that is the `row`th, of one stream or of both."""
        found = bisect_left(self._places, row, key=lambda place: place.begun(stream))
        return self._places[max(0, found - 1)]

    def at(self, offset: int) -> Place:
        """The last known place at a position or before it."""
        found = bisect_right(self._places, offset, key=lambda place: place.offset)
        return self._places[max(0, found - 1)]

    async def lines(
        self,
        reader: LogReader,
        first: int,
        count: int,
        stream: str | None = None,
        *,
        by_number: bool = False,
    ) -> list[Line]:
        """Lines from the `first` on, of one stream or of both, as far as they are counted; fewer
        than `count` when they are long or far from each other. `by_number`: `first` is the number
        of a line, which may be one of the other stream. LogUnavailable."""
        end = self.place.offset
        start = self.before(first, None if by_number else stream)
        window = _Window(start, first, count, stream, by_number)
        while start.offset < end:
            await reader.go_through(start.offset, end, window.take)
            if window.done or window.place.offset == start.offset:
                break
            start = window.place
            if not window.open:
                # Lines of one stream may be far from each other.
                ahead = self.before(start.begun(stream) + 1, stream)
                start = ahead if ahead.offset > start.offset else start
            window.go_on(start)
        known = {line.part.number: line for line in self._open.values()} | self._far
        found: list[Line] = []
        for line in window.lines:
            if found and window.late and line.part.number in window.open.keys() - known.keys():
                # Its text is not read to its end: it begins the next answer.
                break
            found.append(known.get(line.part.number, line))
        return found


class _Window:
    """Collects some lines on the way through a log."""

    def __init__(
        self, start: Place, first: int, count: int, stream: str | None, by_number: bool
    ) -> None:
        self.lines: list[Line] = []
        self.open: dict[int, Line] = {}
        """Those that have no end yet."""
        self.done = False
        self.late = False
        """It was broken off."""
        self._until = time.monotonic() + LOOKING
        self._counter = LineCounter(start)
        self._first = first
        self._count = count
        self._stream = stream
        self._by_number = by_number
        self._size = 0
        self._ahead = 0

    @property
    def place(self) -> Place:
        """Where it is."""
        return self._counter.place

    def go_on(self, place: Place) -> None:
        """Go on from a place before which no line is missed."""
        self._counter = LineCounter(place)

    def take(self, data: bytes) -> bool:
        """A piece of the log; whether the next one is wanted."""
        if self._full:
            self._ahead += len(data)
        elif not self.open and self._pass(data):
            self.late = self.done = bool(self.lines) and time.monotonic() >= self._until
            return self._stream is None and not self.done
        for part in self._counter.parts(data):
            if part.begins:
                self._begin(part)
            elif (line := self.open.get(part.number)) is not None:
                line.add(part)
                if part.ends:
                    del self.open[part.number]
        self.late = bool(self.lines) and time.monotonic() >= self._until
        self.done = self.late or (self._full and (not self.open or self._ahead >= AHEAD))
        return not self.done

    @property
    def _full(self) -> bool:
        return len(self.lines) >= self._count or self._size >= MOST_TEXT

    def _pass(self, data: bytes) -> bool:
        """Pass over data in which none of the lines begins."""
        counter = LineCounter(self._counter.place)
        if not counter.skip(data):
            return False
        begun = counter.place.begun(None if self._by_number else self._stream)
        none = counter.place.begun(self._stream) == self._counter.place.begun(self._stream)
        if begun >= self._first and not none:
            return False
        self._counter = counter
        return True

    def _begin(self, part: Part) -> None:
        if self._full or (self._stream is not None and part.stream != self._stream):
            return
        by_number = self._by_number or self._stream is None
        if (part.number if by_number else part.ordinal) < self._first:
            return
        line = Line(part)
        self.lines.append(line)
        self._size += min(len(part.content), MOST_TEXT)
        if not part.ends:
            self.open[part.number] = line


class LineIndexes:
    """The indexes of the logs that were looked at last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[AttemptId, LineIndex] = OrderedDict()

    def of(self, key: AttemptId, size: int, known: LineIndex | None = None) -> LineIndex:
        """The index of a log that has `size` bytes now; a new one when it was begun anew. `known`:
        the one that the caller had before, which may be kept no longer."""
        index = self._kept.get(key, known)
        if index is None or index.place.offset > size:
            index = LineIndex()
        self._kept[key] = index
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_LOGS:
            self._kept.popitem(last=False)
        return index
