"""Sends the inputs of the chaos run's jobs, part by part, whatever happens to the server."""

from __future__ import annotations

import random
import threading
import time
from typing import Final

from remote_client.client import Client
from remote_client.errors import ApiError, ClientError

_AGAIN: Final = 0.3
_LONGEST: Final = 0.5
"""Seconds between two parts."""
_LARGEST: Final = 1 << 20


class InputFeeder(threading.Thread):
    """Sends one job's input to its end, or to that of the job. What the server has is asked for
    anew after each failure, and parts that it has may be sent once more."""

    def __init__(self, client: Client, job: str, data: bytes, dice: random.Random) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._job = job
        self._data = data
        self._dice = dice
        self.stopping = threading.Event()
        self.over = False
        """Whether the server has all of it, or needs no more."""

    def run(self) -> None:
        """Send it."""
        offset = 0
        while not self.over and not self.stopping.is_set():
            size = self._dice.randrange(1, _LARGEST)
            part = self._data[offset : offset + size]
            end = offset + len(part) == len(self._data)
            try:
                offset = self._client.send_input(self._job, offset, part, end).size
                self.over = end
            except ApiError as error:
                if error.status in (404, 409):
                    offset = self._ask(offset)
                time.sleep(_AGAIN)
            except ClientError:
                time.sleep(_AGAIN)
            else:
                # Now and then from before what the server has: the same bytes, once more.
                if not self.over and self._dice.random() < 0.2:
                    offset = max(0, offset - self._dice.randrange(1, 100_000))
                self.stopping.wait(self._dice.uniform(0, _LONGEST))

    def _ask(self, offset: int) -> int:
        """Where to go on; `over` when the job has ended."""
        try:
            self.over = self._client.job(self._job).state.terminal
            return offset if self.over else self._client.input(self._job).size
        except ClientError:
            return offset
