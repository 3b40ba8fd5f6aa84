"""Reads the agent's own rotated log from a cursor on, as lines for people. Reads those files only.

A cursor names a file by its first line, which has a time in it, and a place in that file: it holds
over rotations, restarts of the agent and a server that was away. What is far behind is skipped, and
a line says how many lines that were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from remote_agent.processes import READ, open_file
from remote_protocol.limits import MAX_LOG_LINE, MAX_LOG_LINES

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
BATCH: Final = 16 * 1024
"""Bytes of the log that are read at a time."""
LONGEST: Final = 64 * 1024
"""Bytes of a line; the rest of a longer one counts as another."""
BEHIND: Final = 1024 * 1024
"""Bytes that may wait to be sent; of more, only the newest `NEWEST` are."""
NEWEST: Final = 256 * 1024
_NAMED: Final = 256
"""Bytes of a file's first line that name it."""


class Batch(NamedTuple):
    """Some lines, and where those after them begin."""

    lines: list[str]
    cursor: str


class LogReader:
    """The files `path`, `path.1` … `path.<older>`, from the newest to the oldest."""

    def __init__(self, path: Path, older: int) -> None:
        self._files = (path, *(path.with_name(f"{path.name}.{n + 1}") for n in range(older)))
        self._looked: tuple[int, int, str] | None = None
        """Number and size of the newest file, when there was nothing to read after a cursor."""

    def read(self, cursor: str, level: str) -> Batch | None:
        """The next lines of at least this level; None when there is nothing new. OSError."""
        found = os.stat(self._files[0])
        newest = (found.st_ino, found.st_size, cursor)
        if newest == self._looked:
            return None
        batch = self._read(cursor, level)
        self._looked = newest if batch is None else None
        return batch

    def _read(self, cursor: str, level: str) -> Batch | None:
        index, offset, lost = self._place(cursor)
        lines = []
        if lost:
            lines.append("… what came before is not in the agent's log any more")
        index, offset, skipped = self._skip(index, offset)
        if skipped:
            lines.append(f"… {skipped:,} lines were not sent: the log grew faster than it is sent")
        while True:
            data = _piece(self._files[index], offset, LONGEST)
            cut = data.rfind(b"\n", 0, BATCH) + 1 or data.find(b"\n") + 1
            if not cut and (index or len(data) == LONGEST):
                cut = len(data)
            if cut or not index:
                break
            index, offset = index - 1, 0
        taken = 0
        for line in data[:cut].splitlines(keepends=True):
            lines += [one[:MAX_LOG_LINE] for one in shown(line, level)]
            taken += len(line)
            if len(lines) > MAX_LOG_LINES // 2:
                break
        if not taken and not lines:
            return None
        name = _name(self._files[index])
        return Batch(lines[:MAX_LOG_LINES], f"{name}:{offset + taken}" if name else cursor)

    def _place(self, cursor: str) -> tuple[int, int, bool]:
        """File and offset of a cursor, and whether it cannot be found any more."""
        name, _, offset = cursor.partition(":")
        if not cursor:
            return 0, 0, False
        for index, file in enumerate(self._files):
            with suppress(OSError):
                if _name(file) == name and offset.isdecimal():
                    return index, int(offset), False
        there = [index for index, file in enumerate(self._files) if file.exists()]
        return max(there, default=0), 0, True

    def _skip(self, index: int, offset: int) -> tuple[int, int, int]:
        """Where to go on when too much waits, and how many lines that leaves out."""
        sizes = [_size(file) for file in self._files[: index + 1]]
        waits = sum(sizes) - offset
        if waits <= BEHIND:
            return index, offset, 0
        skipped, leave = 0, waits - NEWEST
        while leave > 0:
            data = _piece(self._files[index], offset, min(leave, BEHIND))
            if not data:
                if not index:
                    break
                index, offset = index - 1, 0
                continue
            offset, leave = offset + len(data), leave - len(data)
            skipped += data.count(b"\n")
        # The rest of the line in which that ends.
        rest = _piece(self._files[index], offset, LONGEST)
        cut = rest.find(b"\n") + 1
        return index, offset + cut, skipped + bool(cut)


def shown(line: bytes, level: str) -> Iterator[str]:
    """A stored line as people read it; nothing when it is below the level."""
    try:
        known: Any = json.loads(line)
    except ValueError:
        known = None
    if not isinstance(known, dict):
        yield line.decode(errors="replace").rstrip()
        return
    own = str(known.pop("level", "info"))
    if own in LEVELS and LEVELS.index(own) < LEVELS.index(level):
        return
    when, logger = known.pop("timestamp", ""), known.pop("logger", "")
    event, trace = known.pop("event", ""), str(known.pop("exception", ""))
    words = " ".join(f"{key}={_value(value)}" for key, value in known.items())
    yield f"{when} {own:<7} {logger}: {event} {words}".rstrip()
    yield from (f"    {part}" for part in trace.splitlines())


def _value(value: object) -> str:
    plain = isinstance(value, str) and value and not set(value) & set(' "=\n')
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _name(file: Path) -> str:
    """What a file is called in cursors; empty while it has no whole line."""
    first = _piece(file, 0, _NAMED)
    if b"\n" not in first and len(first) < _NAMED:
        return ""
    return sha256(first.partition(b"\n")[0]).hexdigest()[:16]


def _size(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except FileNotFoundError:
        return 0


def _piece(file: Path, offset: int, most: int) -> bytes:
    try:
        descriptor = open_file(file, READ)
    except FileNotFoundError:
        return b""
    with open(descriptor, "rb") as opened:
        opened.seek(offset)
        return opened.read(most)
