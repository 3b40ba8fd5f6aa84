"""What a user is told of a server that is away. Reads a clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from remote_protocol.units import format_duration


class Outage:
    """Tells once that the server is away and once that it is back; a short break is not told."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._since: float | None = None

    def goes_on(self, failures: int, why: object) -> None:
        """After failure number `failures`, counted from zero."""
        if failures and self._since is None:
            self._since = time.monotonic()
            self._notice(f"{str(why).rstrip('.')}. Trying again; jobs go on meanwhile.")

    def over(self) -> None:
        """The server has answered."""
        if self._since is not None:
            away = format_duration(time.monotonic() - self._since)
            self._since = None
            self._notice(f"reached the server again after {away}")
