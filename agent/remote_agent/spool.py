"""The spool of an attempt: its output in CRI format, as closed segments and a live one. Reads.

Segments lie in the attempt's directory: `output.log` is the live one, closed ones carry the
offset at which they start. Offsets count bytes of the whole log. The shim writes and rotates
while this reads; the newest closed segment always stays, because it tells where the live one
starts. What is no plain file is no segment, whatever its name. Standard library only: the shim
shares the names.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from remote_agent.processes import READ, Folder, UnexpectedEntry, read_at, unlinked

LIVE: Final = "output.log"
CHECKSUMS: Final = "output.crc"
"""Lines `<offset> <CRC-32 of everything before it>`, one for each segment that was closed."""
_PREFIX, _SUFFIX, _DIGITS = "output.", ".log", 20
_STEP: Final = 1 << 20
_LARGEST_SUMS: Final = 1 << 22
_LOOKS: Final = 100
"""Times that a folder is looked at which changes while it is looked at."""


class SpoolError(Exception):
    """Bytes that were asked for are not in the spool any more; it goes on at `until`."""

    def __init__(self, text: str, until: int) -> None:
        self.until = until
        super().__init__(text)


class Segment(NamedTuple):
    """A closed segment: offset of its first byte, and its length."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """Offset after its last byte."""
        return self.start + self.size


def closed_name(start: int) -> str:
    """File name of the closed segment that starts at this offset."""
    return f"{_PREFIX}{start:0{_DIGITS}d}{_SUFFIX}"


def closed_start(name: str) -> int | None:
    """Offset at which a closed segment starts, from its file name; None for other files."""
    digits = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    if len(digits) != _DIGITS or not digits.isdecimal() or closed_name(int(digits)) != name:
        return None
    return int(digits)


class SpoolReader:
    """Reads one attempt's spool; keeps one descriptor open between reads. Not for threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor = -1
        self._base = 0

    def close(self) -> None:
        """Close the descriptor; reading opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def segments(self) -> list[Segment]:
        """The closed segments that exist, oldest first."""
        return self._look()[0]

    def size(self) -> int:
        """Length of the whole log in bytes, with what was dropped at its front."""
        closed, live = self._look()
        return (closed[-1].end if closed else 0) + live

    def disk_usage(self) -> int:
        """Bytes that the spool takes on the disk now."""
        closed, live = self._look()
        return sum(segment.size for segment in closed) + live

    def _look(self) -> tuple[list[Segment], int]:
        """Closed segments and the length of the live one, as of one moment.

        A rotation in between would count the live segment twice or not at all: the list of
        closed ones must be the same before and after the live one was measured.
        """
        try:
            with Folder(self._directory) as folder:
                for _ in range(_LOOKS):
                    before = _closed(folder)
                    live = folder.sizes(LIVE.__eq__, [LIVE]).get(LIVE, 0)
                    if _closed(folder) == before:
                        break
                return before, live
        except FileNotFoundError:
            return [], 0

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset` on; returns how many bytes there were, 0 at the end for now.

        May stop short at the end of a segment. SpoolError when the bytes were dropped.
        """
        while True:
            if self._descriptor < 0 or offset < self._base:
                self.close()
                if not self._open(offset):
                    return 0
            count = read_at(self._descriptor, view, offset - self._base)
            if count:
                return count
            if not self._is_closed():
                return 0
            # The shim wrote its last bytes before it gave the segment its closed name.
            count = read_at(self._descriptor, view, offset - self._base)
            if count:
                return count
            self.close()

    def _is_closed(self) -> bool:
        if unlinked(self._descriptor):
            return True
        try:
            with Folder(self._directory) as folder:
                return folder.plain(closed_name(self._base))
        except FileNotFoundError:
            return True

    def _open(self, offset: int) -> bool:
        """Open the segment that holds `offset`; False when there is none yet."""
        try:
            with Folder(self._directory) as folder:
                return self._open_in(folder, offset)
        except FileNotFoundError:
            return False

    def _open_in(self, folder: Folder, offset: int) -> bool:
        for _ in range(_LOOKS):
            closed = _closed(folder)
            if closed and offset < closed[0].start:
                raise SpoolError(
                    f"the log's bytes from {offset} to {closed[0].start} were dropped from the "
                    "spool after the server had acknowledged them",
                    closed[0].start,
                )
            holder = next((segment for segment in closed if segment.end > offset), None)
            if holder and offset < holder.start:
                text = f"a segment that held the log's byte {offset} is missing"
                raise SpoolError(text, holder.start)
            start = holder.start if holder else closed[-1].end if closed else 0
            name = closed_name(start) if holder else LIVE
            try:
                self._descriptor = folder.open(name, READ)
            except FileNotFoundError:
                if holder:
                    continue  # it was dropped just now
                if _closed(folder) != closed:
                    continue
                return False
            except UnexpectedEntry as odd:
                if holder:
                    raise SpoolError(f"{name}: {odd.strerror}", holder.end) from None
                raise
            self._base = start
            # What was the live segment when we looked may have been closed, and a new one made.
            if holder or not folder.plain(closed_name(start)):
                return True
            self.close()
        return False

    def drop_acked(self, acked: int, keep: int) -> int:
        """Delete the oldest closed segments before `acked` while more than `keep` are there.

        The newest closed one always stays. Returns how many bytes were freed.
        """
        freed = 0
        with suppress(FileNotFoundError), Folder(self._directory) as folder:
            closed = _closed(folder)
            spare = max(0, len(closed) - max(1, keep))
            for segment in closed[:spare]:
                if segment.end > acked:
                    break
                with suppress(FileNotFoundError):
                    folder.remove(closed_name(segment.start))
                    freed += segment.size
        return freed

    def checksum(self) -> int:
        """CRC-32 of the whole log; SpoolError when a dropped front left no checksum behind."""
        closed = self.segments()
        start = closed[0].start if closed else 0
        checksum = self._dropped_checksum(start)
        buffer = memoryview(bytearray(_STEP))
        while count := self.read_into(buffer, start):
            checksum = crc32(buffer[:count], checksum)
            start += count
        return checksum

    def _dropped_checksum(self, end: int) -> int:
        if not end:
            return 0
        for line in self._sums().splitlines(True):
            # A full disk may have cut a line short, and the next one follows without a break.
            words = line.split()
            if line.endswith("\n") and len(words) == 2 and words[0] == str(end):
                with suppress(ValueError):
                    return int(words[1])
        raise SpoolError(f"the checksum of the dropped bytes before {end} is not known", end)

    def _sums(self) -> str:
        try:
            with Folder(self._directory) as folder:
                descriptor = folder.open(CHECKSUMS, READ)
        except (FileNotFoundError, UnexpectedEntry):
            return ""
        with open(descriptor, "rb") as file:
            return file.read(_LARGEST_SUMS).decode("ascii", errors="replace")


def _closed(folder: Folder) -> list[Segment]:
    sizes = folder.sizes(lambda name: closed_start(name) is not None)
    return sorted(Segment(int(name[len(_PREFIX) : -len(_SUFFIX)]), sizes[name]) for name in sizes)
