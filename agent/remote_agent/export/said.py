"""Says that metrics cannot be sent once, until they can be. Writes to the log."""

from __future__ import annotations

import structlog

log = structlog.get_logger("telemetry")


class Said:
    """What was said last of one collector."""

    def __init__(self, to: str) -> None:
        self._to = to
        self.failures = 0
        """Sendings that failed one after the other."""

    def failed(self, reason: str) -> None:
        """The metrics could not be sent."""
        self.failures += 1
        if self.failures == 1:
            log.warning("metrics cannot be sent; trying again", to=self._to, reason=reason)

    def sent(self) -> None:
        """The collector has them."""
        if self.failures:
            log.info("metrics are sent again", to=self._to)
        self.failures = 0
