"""Control messages of the agent to the shim of a running attempt: what each of them does.

What is not understood changes nothing: agents of other versions may say more. Touches nothing
itself.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

from remote_agent.shim.completion import Completion
from remote_agent.shim.ending import CANCELLED, REQUESTED
from remote_agent.shim.reader import OutputReader
from remote_agent.shim.termination import Termination

_HOLD: Final = 60.0
_MAX_HOLD: Final = 1e9
"""Seconds for which output waits when the message does not say, and at the most."""
_MAX_TEXT: Final = 2_000


class Control:
    """Carries out the messages for one attempt."""

    def __init__(
        self, reader: OutputReader, termination: Termination, completion: Completion
    ) -> None:
        self._reader = reader
        self._termination = termination
        self._completion = completion

    def handle(self, message: dict[str, Any]) -> bool:
        """Do what the message says. Whether it tells of more input for the job."""
        with suppress(ValueError, TypeError, OverflowError):
            return self._handle(message)
        return False

    def _handle(self, message: dict[str, Any]) -> bool:
        reason = message.get("reason")
        reason = reason if reason in REQUESTED else CANCELLED
        detail = str(message.get("detail") or "")[:_MAX_TEXT]
        match message.get("do"):
            case "stop":
                self._completion.must_end = True
                grace, signal = message.get("grace"), message.get("signal")
                self._termination.interrupt(reason, detail or "cancelled", grace, signal)
            case "kill":
                self._completion.must_end = True
                self._termination.kill(reason, detail or "killed by the agent")
            case "hold":
                wanted = float(message.get("for") or _HOLD)
                seconds = wanted if 0 < wanted < _MAX_HOLD else _HOLD
                self._reader.hold(time.monotonic() + seconds)
            case "go":
                self._reader.hold(0.0)
            case "input":
                return True
        return False
