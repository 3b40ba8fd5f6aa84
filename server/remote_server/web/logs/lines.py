"""The lines of a stored log: counted, and put together from its records. Pure.

A line is what one stream wrote up to its line feed, however many records that took. It has its
number from its first record on, so that numbers never change while a log grows; lines of both
streams are counted together, from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from remote_protocol import cri

_HEAD: Final = 8 * 1024
_TAIL: Final = 8 * 1024
"""Bytes of a line that are kept from its beginning and its end: a page shows no more of it."""
_STREAM: Final = slice(cri.STAMP_LENGTH + 1, cri.STAMP_LENGTH + 7)
_TAG: Final = slice(cri.CONTENT - 2, cri.CONTENT - 1)
_MOST_GAPS: Final = 100
_LOST: Final = re.compile(rb"remote-server: (\d{1,18}) bytes of this log were lost")
"""What the server writes where bytes are missing for ever (`logs.gap`); zeros follow it."""


class Place(NamedTuple):
    """A position between two records, and what was counted before it."""

    offset: int = 0
    out: int = 0
    """Lines of stdout that have begun."""
    err: int = 0
    open_out: int = 0
    """Number of the line of stdout that has no end yet; 0 for none."""
    open_err: int = 0

    def begun(self, stream: str | None = None) -> int:
        """Lines that have begun, of one stream or of both."""
        if stream is None:
            return self.out + self.err
        return self.err if stream == "stderr" else self.out


class Part(NamedTuple):
    """One record as a part of a line."""

    number: int
    ordinal: int
    """Which line of its stream it is, from 1."""
    stream: str
    stamp: bytes
    content: bytes
    begins: bool
    ends: bool


class Line:
    """A line, of which head and tail are kept."""

    __slots__ = ("_head", "_tail", "begins_at", "ends", "left_out", "part", "redraws", "size")

    def __init__(self, part: Part, begins_at: int = 0) -> None:
        self.part = part
        self.begins_at = begins_at
        self.ends = False
        self.size = 0
        self.left_out = 0
        self.redraws = 0
        """Carriage returns in what is left out."""
        self._head = bytearray()
        self._tail = bytearray()
        self.add(part)

    def add(self, part: Part) -> None:
        """Take the line's next record."""
        content = part.content
        self.ends = part.ends
        self.size += len(content)
        room = _HEAD - len(self._head)
        if room > 0:
            self._head += content[:room]
            content = content[room:]
        self._tail += content
        if (over := len(self._tail) - _TAIL) > 0:
            self.left_out += over
            self.redraws += self._tail.count(b"\r", 0, over)
            del self._tail[:over]

    def row(self, stream: str | None) -> int:
        """Its place among the lines of one stream, or of both."""
        return self.part.number if stream is None else self.part.ordinal

    def shown(self) -> dict[str, object]:
        """For a page: `n` its number, `k` its place in its stream, `s` the stream, `t` the time of
        its first record, `x` its text; `open` when it has no end yet; when its middle is left out,
        `left` says how many bytes and carriage returns of it, and `y` is what follows."""
        part = self.part
        found: dict[str, object] = {
            "n": part.number,
            "k": part.ordinal,
            "s": part.stream,
            "t": part.stamp.decode("ascii", "replace"),
        }
        if self.left_out:
            found |= {"left": [self.left_out, self.redraws], "y": _text(self._tail)}
            found["x"] = _text(self._head)
        else:
            found["x"] = _text(self._head + self._tail)
        if not self.ends:
            found["open"] = True
        return found


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "replace")


class LineCounter:
    """Goes through a log from a place on, and counts."""

    def __init__(self, place: Place | None = None) -> None:
        place = place or Place()
        self._offset = place.offset
        self._begun = {"stdout": place.out, "stderr": place.err}
        self._open = {"stdout": place.open_out, "stderr": place.open_err}
        self.gaps: list[tuple[int, int]] = []
        """What is no record: after which line, and how many bytes of it."""
        self._said = (0, 0)

    @property
    def offset(self) -> int:
        """Where it is: after the part that it gave last."""
        return self._offset

    @property
    def place(self) -> Place:
        """Where it is, and what it has counted."""
        begun, opened = self._begun, self._open
        return Place(
            self._offset, begun["stdout"], begun["stderr"], opened["stdout"], opened["stderr"]
        )

    def skip(self, data: bytes) -> bool:
        """Pass over whole records if each of them is a whole line, as most are: some hundred times
        as quick as looking at each. Otherwise nothing has happened."""
        if self._open["stdout"] or self._open["stderr"] or b"\0" in data:
            return False
        out, err = data.count(b"Z stdout F "), data.count(b"Z stderr F ")
        if out + err != data.count(b"\n") or b"Z stdout P " in data or b"Z stderr P " in data:
            return False
        self._begun["stdout"] += out
        self._begun["stderr"] += err
        self._offset += len(data)
        return True

    def parts(self, data: bytes) -> Iterator[Part]:
        """The records in `data`, which are whole; to be gone through to the end."""
        begun, opened = self._begun, self._open
        lines = data.split(b"\n")
        rest = lines.pop()
        for line in lines:
            self._offset += len(line) + 1
            tag, stream = line[_TAG], line[_STREAM].decode("ascii", "replace")
            if tag not in (b"F", b"P") or stream not in opened:
                self._note_gap(len(line) + 1)
                continue
            number = opened[stream]
            begins, ends = not number, tag == b"F"
            if begins:
                begun[stream] += 1
                number = begun["stdout"] + begun["stderr"]
            opened[stream] = 0 if ends else number
            stamp, content = line[: cri.STAMP_LENGTH], line[cri.CONTENT :]
            if stream == "stderr" and ends and (said := _LOST.fullmatch(content)):
                self._said = (number, int(said[1]))
            yield Part(number, begun[stream], stream, stamp, content, begins, ends)
        if rest:
            # A piece of damage that is longer than any record.
            self._offset += len(rest)
            self._note_gap(len(rest))

    def _note_gap(self, size: int) -> None:
        # The line feed before a gap's note, an empty line, is a part of none.
        if size <= 1:
            return
        after = self._begun["stdout"] + self._begun["stderr"]
        if self.gaps and self.gaps[-1][0] == after:
            size += self.gaps.pop()[1]
        if after == self._said[0]:
            # The note before it says how much is missing, with itself.
            size = self._said[1]
        if len(self.gaps) < _MOST_GAPS:
            self.gaps.append((after, size))


class LineRange:
    """What the job printed in some lines, in the order in which it was printed."""

    def __init__(self, start: Place, first: int, last: int, stream: str | None = None) -> None:
        self._counter = LineCounter(start)
        self._first = first
        self._last = last
        self._stream = stream
        self._open: set[int] = set()
        self.over = False
        """Whether all of it was there."""

    @property
    def offset(self) -> int:
        """Up to where it was fed."""
        return self._counter.offset

    def feed(self, data: bytes) -> bytes:
        """The job's bytes of the range in these records."""
        shown = []
        for part in self._counter.parts(data):
            if not self._first <= part.number <= self._last:
                self.over = part.number > self._last and not self._open
                continue
            if part.ends:
                self._open.discard(part.number)
            else:
                self._open.add(part.number)
            if self._stream in (None, part.stream):
                shown += [part.content, b"\n"] if part.ends else [part.content]
        return b"".join(shown)
