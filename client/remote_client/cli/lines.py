"""Lines of a log: joined from its records, cut to the last ones, or to those since a moment. Pure.

A read of the shim makes a record, so that what a job wrote bit by bit is several of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from remote_client.logs import BlockingLog
from remote_protocol import cri

_LONGEST: Final = 1024 * 1024
"""Bytes of a line without an end that are held back; then it is shown in parts."""
_FIRST_LOOK: Final = 64 * 1024
_BEYOND: Final = (1 << 62) - 1
"""An offset after the end of any log: the answer's head tells the size."""


class Lines:
    """Takes pieces of whole CRI records; gives them on as they are, or as lines with their time.

    `joined`: a line is what comes up to its newline, however many records it took; it has the
    time of its first one. `only` and `earliest` leave other records out.
    """

    def __init__(
        self,
        show: Callable[[bytes], None],
        *,
        joined: bool = False,
        only: str | None = None,
        earliest: str | None = None,
    ) -> None:
        self._show = show
        self._joined = joined
        self._only = only
        self._earliest = earliest
        self._open: dict[str, tuple[str, bytearray]] = {}

    def feed(self, piece: bytes) -> None:
        """One piece of a log, in order."""
        if self._earliest is not None:
            piece = _since(piece, self._earliest)
        if not self._joined:
            if piece:
                self._show(piece)
            return
        if lines := b"".join(self._lines(piece)):
            self._show(lines)

    def end(self) -> None:
        """The log is over: show the lines that have no newline."""
        rest = b"".join(
            _stamped(time, stream, bytes(text)) for stream, (time, text) in self._open.items()
        )
        self._open.clear()
        if rest:
            self._show(rest)

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        for record in cri.records(piece):
            if self._only is not None and record.stream != self._only:
                continue
            time, text = self._open.pop(record.stream, (record.time, bytearray()))
            text += record.data
            if record.data.endswith(b"\n") or len(text) > _LONGEST:
                yield _stamped(time, record.stream, bytes(text))
            else:
                self._open[record.stream] = time, text


def _stamped(time: str, stream: str, text: bytes) -> bytes:
    return f"{time} {stream} ".encode() + text.removesuffix(b"\n") + b"\n"


def _since(piece: bytes, earliest: str) -> bytes:
    first, least = piece[: cri.STAMP_LENGTH], earliest.encode()
    if first >= least:
        # Times of a log never go back by more than its two streams overlap.
        return piece
    kept = [line for line in piece.split(b"\n") if line[: cri.STAMP_LENGTH] >= least]
    return b"\n".join(kept) + b"\n" if kept else b""


def last_lines(
    open_at: Callable[[int], BlockingLog], count: int, stream: str | None = None
) -> BlockingLog:
    """The log from its last `count` lines on, not yet read; its `offset` is where they begin.

    Looks at more and more of its end, so that a long log is not read whole.
    """
    probe = open_at(_BEYOND)
    for _ in probe:
        raise ValueError("nothing comes after the end of a log")
    size, look = probe.size, _FIRST_LOOK
    while True:
        begin = max(0, size - look)
        found = _begin_of_last(b"".join(open_at(begin)), begin, count, stream)
        if found is not None or begin == 0:
            log = open_at(found or 0)
            log.attempt = probe.attempt
            return log
        look *= 4


def _begin_of_last(data: bytes, begin: int, count: int, stream: str | None) -> int | None:
    """Where the last `count` lines begin; None when that lies before `data`."""
    if begin:
        cut = data.find(b"\n") + 1
        if not cut:
            return None
        data, begin = data[cut:], begin + cut
    ends, at = 0, len(data)
    open_ended = True
    while at > 0:
        start = data.rfind(b"\n", 0, at - 1) + 1
        line = data[start:at]
        if stream is None or line[cri.STAMP_LENGTH + 1 : cri.STAMP_LENGTH + 7] == stream.encode():
            full = line[cri.CONTENT - 2 : cri.CONTENT - 1] == b"F"
            if full or open_ended:
                # A last line without a newline counts, too.
                ends += 1
            open_ended = False
            if ends > count:
                return begin + at
        at = start
    return None if begin else 0
