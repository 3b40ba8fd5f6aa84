"""Notices when the event loop was held, and names what held it. One thread, no signals.

The loop leaves a beat four times a second. When beats stay away, the thread looks at the stack of
the loop's thread, again and again until the beat comes, and keeps the place it saw most often: that
is what ran for so long. Reads clocks and stacks, writes the log.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from types import FrameType
from typing import Final

import structlog

from remote_server.throttle import Throttle

HELD: Final = 0.5
"""Seconds without a turn of the loop that are worth a line."""
BEAT: Final = 0.25
"""Seconds between two beats, when nothing holds the loop."""
_LOOK: Final = 0.05
"""Seconds between two looks at a loop that is held."""
_REST: Final = 0.15
"""The same while it turns: a thread that wakes up takes time from it."""
_STUCK: Final = 30.0
_EVERY: Final = 10.0
_FRAMES: Final = 8
_KEPT: Final = 100
_log = structlog.get_logger("remote_server.watchdog")


@dataclass(frozen=True, slots=True)
class Hold:
    """One time that the loop was held."""

    seconds: float
    """Without a turn of the loop."""
    cpu: float
    """Seconds that the loop's thread computed meanwhile. Much less than `seconds`: it waited for a
    disk, or other programs had the processor."""
    where: str
    """The innermost frames, the deepest first, as `file:line function`."""


class Watchdog:
    """Watches the loop that it is started in. `holds` are the last ones, the newest at the end."""

    def __init__(self, held: float = HELD) -> None:
        self.holds: deque[Hold] = deque(maxlen=_KEPT)
        self._held = held
        self._beat = 0.0
        self._cpu = 0.0
        self._seen: Counter[str] = Counter()
        self._said_stuck = False
        self._throttle = Throttle(_EVERY)
        self._stopping = threading.Event()
        self._handle: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._watched = 0

    def start(self) -> None:
        """Watch the running loop until `stop`."""
        self._watched = threading.get_ident()
        self._begin(asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer; called in the loop."""
        self._stopping.set()
        if self._handle is not None:
            self._handle.cancel()
        if self._thread is not None:
            self._thread.join()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._cpu = time.thread_time()
        self._beat = time.monotonic()
        self._handle = loop.call_later(BEAT, self._again, loop)

    def _again(self, loop: asyncio.AbstractEventLoop) -> None:
        late = time.monotonic() - self._beat - BEAT
        if late > self._held:
            self._report(late, time.thread_time() - self._cpu)
        self._begin(loop)

    def _report(self, seconds: float, cpu: float) -> None:
        seen, self._seen = self._seen, Counter()
        self._said_stuck = False
        where = seen.most_common(1)[0][0] if seen else "not seen: the watchdog had no processor"
        hold = Hold(round(seconds, 3), round(cpu, 3), where)
        self.holds.append(hold)
        more = self._throttle.take(where, time.monotonic())
        if more is not None:
            _log.warning(
                "event loop held",
                seconds=hold.seconds,
                cpu=hold.cpu,
                where=where,
                **({"like_it_since": more} if more else {}),
            )

    def _watch(self) -> None:
        pause = _REST
        while not self._stopping.wait(pause):
            beat = self._beat
            late = time.monotonic() - beat - BEAT
            if late < self._held / 2:
                pause = min(_REST, self._held / 4)
                continue
            pause = _LOOK
            frame = sys._current_frames().get(self._watched)
            where = place(frame)
            del frame
            if self._beat != beat:
                continue
            self._seen[where] += 1
            if late > _STUCK and not self._said_stuck:
                # Perhaps it never comes back to say so itself.
                self._said_stuck = True
                _log.error("event loop held", seconds=round(late, 3), where=where, goes_on=True)


def place(frame: FrameType | None) -> str:
    """The innermost frames of a stack, the deepest first."""
    found: list[str] = []
    while frame is not None and len(found) < _FRAMES:
        code = frame.f_code
        name = "/".join(code.co_filename.replace("\\", "/").split("/")[-3:])
        found.append(f"{name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(found)
