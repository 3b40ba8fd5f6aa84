"""Finds many strings in bytes at several hundred MB/s, however many there are. Pure.

An alternation of a hundred strings makes `re` try dozens of them at each byte. So the bytes are
looked at as UTF-16, two at a time: a class of characters of `re` then says at once whether a pair
of bytes is one that a pattern holds at a certain place. A pattern is found by up to three pairs in
a row, chosen once for when it begins at an even place and once for an odd one. What has such pairs
is compared with the patterns that they may belong to, byte by byte; nearly nothing else has.
ADR 30 has the figures of what was rejected.

Making such classes takes half a millisecond and more, which most jobs would pay for a few lines. So
new patterns are searched for one by one until that has cost about as much.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from remote_agent.shim.filters.encodings import SHORTEST

_PAIRS: Final = 3
"""By how many pairs a pattern is found, if it is long enough."""
_CHOICES: Final = 8
"""Places of a pattern that are considered for its pairs."""
_ENOUGH: Final = 1 << 16
"""Bytes that are searched for patterns one by one: that takes about as long as to make classes of
them, some 20 µs for each."""
_CALL: Final = 1 << 10
"""Bytes that are searched in the time that the call takes."""
_COMMON: Final = frozenset(b" 0123456789acdefhilmnoprstu-./:,")
"""Bytes that logs are full of."""
_HIGH: Final = range(0xD8, 0xE0)
"""First bytes of surrogates, which are no characters of their own in UTF-16."""
_FOLD: Final = bytes(byte - 0x10 if byte in _HIGH else byte for byte in range(256))

Span = tuple[int, int]
"""Where something begins, and where it has ended."""


class Matcher:
    """The patterns, to which more can be added. None is shorter than `SHORTEST`."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._new: list[bytes] = []
        """Those that are searched for one by one."""
        self._looked = 0
        """How much has been searched for those."""
        self._groups: dict[int, _Group] = {}
        self._grouped: list[bytes] = []
        """All that are in groups, sorted."""
        self._begin: re.Pattern[bytes] | None = None
        self._longest = 0

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, patterns: Iterable[bytes]) -> None:
        """Search for these, too."""
        new = set(patterns) - self._known
        assert all(len(pattern) >= SHORTEST for pattern in new)
        self._known |= new
        self._new += new

    def _group(self) -> None:
        """Search for the new ones as for the others from now on."""
        for pattern in self._new:
            pairs = min(_PAIRS, (len(pattern) - 1) // 2)
            self._groups.setdefault(pairs, _Group(pairs)).add(pattern)
        self._grouped = sorted([*self._grouped, *self._new])
        self._longest = max(map(len, self._grouped))
        self._begin = None
        self._new, self._looked = [], 0

    def spans(self, data: bytes) -> list[Span]:
        """All places of any of them in `data`, in order; those that overlap or touch are one."""
        if self._new:
            self._looked += len(data) + _CALL
            if self._looked > _ENOUGH:
                self._group()
        found: list[Span] = []
        for pattern in self._new:
            at = data.find(pattern)
            while at >= 0:
                found.append((at, at + len(pattern)))
                at = data.find(pattern, at + 1)
        if self._groups:
            text = _as_pairs(data)
            for group in self._groups.values():
                group.find(text, data, found)
        if len(found) < 2:
            return found
        found.sort()
        merged = [found[0]]
        for start, end in found:
            if start > merged[-1][1]:
                merged.append((start, end))
            elif end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        return merged

    def open_from(self, data: bytes) -> int:
        """From where on `data` may be the beginning of one of them, which more bytes complete; its
        length when no end of it is."""
        first = self._new_open_from(data)
        if not self._grouped:
            return first
        tail = data[-(self._longest - 1) :]
        before = len(data) - len(tail)
        for match in self._beginnings().finditer(tail):
            rest = tail[match.start() :]
            # The first one that is greater: all that begin with `rest` stand there in a row.
            next_one = bisect_right(self._grouped, rest)
            if next_one < len(self._grouped) and self._grouped[next_one].startswith(rest):
                return min(first, before + match.start())
        return first

    def _new_open_from(self, data: bytes) -> int:
        first, last = len(data), data[-1:]
        for pattern in self._new:
            # Most output ends with a line, and most secrets have only one.
            if pattern.find(last, 0, -1) < 0:
                continue
            at = data.find(pattern[0], max(0, len(data) - len(pattern) + 1), first)
            while at >= 0:
                if pattern.startswith(data[at:]):
                    first = at
                    break
                at = data.find(pattern[0], at + 1, first)
        return first

    def _beginnings(self) -> re.Pattern[bytes]:
        """What finds places whose first two bytes begin a pattern."""
        if self._begin is None:
            first = {pattern[0] for pattern in self._grouped}
            second = {pattern[1] for pattern in self._grouped}
            self._begin = re.compile(_byte_class(first) + b"(?=%b|\\Z)" % _byte_class(second))
            re.purge()
        return self._begin


class _Group:
    """Patterns that are found by the same number of pairs."""

    def __init__(self, pairs: int) -> None:
        self._width = 2 * pairs
        self._pairs: list[set[int]] = [set() for _ in range(pairs)]
        self._holders: dict[bytes, list[tuple[bytes, int]]] = {}
        """By the pairs in a row: the patterns with them, and where in those they stand."""
        self._search: re.Pattern[str] | None = None

    def add(self, pattern: bytes) -> None:
        self._search = None
        for odd in (0, 1):
            places = range(odd, len(pattern) - self._width + 1, 2)[:_CHOICES]
            place = min(places, key=lambda at: self._cost(self._row(pattern, at)))
            row = self._row(pattern, place)
            self._holders.setdefault(row, []).append((pattern, place))
            for seen in (row, row.translate(_FOLD)):
                for number, pairs in enumerate(self._pairs):
                    pairs.add(seen[2 * number] | seen[2 * number + 1] << 8)

    def _cost(self, row: bytes) -> tuple[int, int]:
        """Of finding a pattern by these pairs. Values often begin alike, as tokens of one service
        do: what others have is dear; then what output is full of."""
        common = sum(byte in _COMMON for byte in row[:2])
        return len(self._holders.get(row, ())), common

    def _row(self, pattern: bytes, at: int) -> bytes:
        return pattern[at : at + self._width]

    def find(self, text: str, data: bytes, found: list[Span]) -> None:
        """Add the spans of all places in `data`, whose pairs are `text`."""
        if self._search is None:
            first, *others = map(_pair_class, self._pairs)
            # Only the first pair is consumed: the next candidate may begin within this one.
            self._search = re.compile(f"{first}(?={''.join(others)})")
            # The cache of `re` would keep one for each value that was added at run time.
            re.purge()
        holders, width = self._holders, self._width
        for match in self._search.finditer(text):
            at = 2 * match.start()
            for pattern, place in holders.get(data[at : at + width], ()):
                start = at - place
                if start >= 0 and data.startswith(pattern, start):
                    found.append((start, start + len(pattern)))


def _as_pairs(data: bytes) -> str:
    """Each two bytes as one character; where surrogates would be, which are none, folded."""
    even = data if len(data) % 2 == 0 else data[:-1]
    try:
        text = even.decode("utf-16-le")
    except UnicodeDecodeError:
        text = ""
    if 2 * len(text) != len(even):  # two surrogates in a row are one character
        text = even.translate(_FOLD).decode("utf-16-le")
    return text


def _pair_class(pairs: set[int]) -> str:
    characters = [f"\\u{pair:04x}" for pair in sorted(pairs) if pair >> 8 not in _HIGH]
    return f"[{''.join(characters)}]"


def _byte_class(found: set[int]) -> bytes:
    return b"[%b]" % b"".join(b"\\x%02x" % byte for byte in sorted(found))
