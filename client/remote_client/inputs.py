"""Sends what a descriptor gives as the input of a job, to the end of either.

One thread reads while the other sends: each part takes what has come meanwhile, so that a fast
source fills large parts and a slow one waits for nothing. Memory holds two parts at the most. On a
silent source the server is told now and then that more may come. Touches the descriptor and the
network.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from remote_client.calls import Calls
from remote_client.errors import ApiError, ClientError
from remote_protocol.limits import MAX_INPUT_PART

_READ: Final = 256 * 1024
_FIRST_WORD: Final = 0.25
"""Seconds until the server is told that somebody sends, and says how long silence may last."""
_OFTEN: Final = 4
"""Words within the silence that the server tolerates."""
_SELDOM: Final = 60.0


class InputSender:
    """Sends one input. `run` is the work, for a thread of its own; `calls` must be its own, too."""

    def __init__(self, calls: Calls, job: str, source: int) -> None:
        self._calls = calls
        self._job = job
        self._source = source
        self._changed = threading.Condition()
        self._waiting = bytearray()
        self._ended = False
        self._fault: OSError | None = None
        self.sent = 0
        """Bytes that the server has."""
        self.over = False
        """Whether the server has the end, or needs nothing more: the job has ended."""

    def run(self) -> None:
        """Send all there is. ClientError when the server takes no more of it, or has gone; OSError
        when the source cannot be read. The job never takes either for the end of its input."""
        threading.Thread(target=self._read, name="input", daemon=True).start()
        pause, part, end = _FIRST_WORD, b"", False
        while not end:
            part, end = self._next(pause)
            try:
                answer = self._calls.send_input(self._job, self.sent, part, end, persistent=True)
            except ApiError as error:
                if self._has_ended(error):
                    break
                raise
            self.sent += len(part)
            ttl = answer.get("ttl")
            pause = _SELDOM if ttl is None else min(_SELDOM, float(ttl) / _OFTEN)
        self.over = True

    def _next(self, pause: float) -> tuple[bytes, bool]:
        """The next part, and whether it is the last; an empty one when none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, pause)
            if self._fault is not None:
                raise self._fault
            part = bytes(self._waiting[:MAX_INPUT_PART])
            del self._waiting[:MAX_INPUT_PART]
            self._changed.notify_all()
            return part, self._ended and not self._waiting

    def _read(self) -> None:
        try:
            while data := os.read(self._source, _READ):
                with self._changed:
                    self._waiting += data
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: len(self._waiting) < MAX_INPUT_PART)
        except OSError as error:
            self._fault = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _has_ended(self, refusal: ApiError) -> bool:
        """Whether the server refuses because the job needs no input any more."""
        if refusal.status not in (404, 409):
            return False
        try:
            job = self._calls.job(self._job, persistent=True)
        except ClientError:
            return False
        return job["state"] in ("succeeded", "failed", "cancelled")
