"""Time as the log and the records show it. Pure: the clock is an argument."""

from __future__ import annotations

import time

_NS = 1_000_000_000


class Stamper:
    """Makes RFC 3339 times in UTC with nine digits; formats the date once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def stamp(self, nanoseconds: int) -> bytes:
        """The stamp of a Unix time in nanoseconds."""
        second, rest = divmod(nanoseconds, _NS)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%09dZ" % (self._text, rest)
