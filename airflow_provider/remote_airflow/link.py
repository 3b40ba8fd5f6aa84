"""The two threads that talk with the server: one says what there is to say, one follows its events.

The scheduler waits for neither. Whatever fails is tried again, and said in the log once in a while;
what was to be submitted waits in the outbox meanwhile.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from remote_airflow.dispatches import STATES, Dispatch, Dispatches
from remote_airflow.packing import PackError
from remote_airflow.pushes import Pushes
from remote_airflow.server import Refused, Server, Unavailable

log = logging.getLogger(__name__)

_BATCH: Final = 200
_LONGEST_PAUSE: Final = 15.0
_MOST_LACKED: Final = 3
_LOOK_EVERY: Final = 300.0
"""Seconds between two looks at all live jobs, in case an event never came."""


class Link:
    """Carries the words of `dispatches` to a server and back."""

    def __init__(
        self, server: Server, dispatches: Dispatches, pushes: Pushes | None = None
    ) -> None:
        self._server = server
        self._dispatches = dispatches
        self._pushes = pushes
        self._stop = threading.Event()
        self._following = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start both threads."""
        for name, work in (("remote-sender", self._send), ("remote-follower", self._follow)):
            thread = threading.Thread(target=self._loop, args=(work,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout: float) -> None:
        """Say what is left, for so many seconds; then stop. Jobs run on."""
        deadline = time.monotonic() + timeout
        while self._threads and self._dispatches.pending() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._stop.set()
        with self._dispatches.changed:
            self._dispatches.changed.notify_all()
        self._server.close()
        for thread in self._threads:
            thread.join(timeout=0.2)

    def _loop(self, work: Callable[[], None]) -> None:
        pause, said_at = 0.5, 0.0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                work()
                pause = 0.5
                continue
            except Unavailable as error:
                words = str(error)
            except Exception as error:
                words = f"{type(error).__name__}: {error}"
                if not self._stop.is_set():
                    log.exception("unforeseen, tried again")
            if self._stop.is_set():
                return
            if time.monotonic() - began > _LONGEST_PAUSE:
                # It has worked meanwhile.
                pause = 0.5
            if time.monotonic() - said_at > 60 or pause <= 0.5:
                said_at = time.monotonic()
                log.warning("the remote-server cannot be asked now, and is tried again: %s", words)
            self._stop.wait(pause * random.uniform(0.7, 1.0))
            pause = min(pause * 2, _LONGEST_PAUSE)

    # Saying --------------------------------------------------------------------------------------

    def _send(self) -> None:
        changed = self._dispatches.changed
        with changed:
            if not self._dispatches.pending():
                changed.wait(5)
        for dispatch, (job, reason) in self._dispatches.cancels().items():
            self._cancel(dispatch, job, reason)
        wanted = self._dispatches.to_submit(_BATCH)
        # What ends before the first look at the events would be told of with the next look only.
        if wanted and self._following.wait(5):
            self._submit(wanted)

    def _submit(self, wanted: list[Dispatch]) -> None:
        if self._pushes is not None:
            wanted = [one for one in wanted if self._has_files(one, self._pushes)]
        bodies = [body for one in wanted if (body := one.submission) is not None]
        if not bodies:
            return
        try:
            found = self._server.submit_each(bodies)
        except Refused as refused:
            # The call as a whole, which may be too large: one at a time, each with its own answer.
            if len(wanted) > 1:
                for one in wanted:
                    self._submit([one])
                return
            found = [refused]
        for one, job in zip(wanted, found, strict=True):
            if isinstance(job, str):
                self._dispatches.submitted(one.id, job)
            elif job.code == "content_missing" and self._send_again(one):
                log.info("the remote-server lacks the DAG bundle of %s; it is sent again", one.key)
            else:
                self._refused(one, str(job.args[0]))

    def _has_files(self, one: Dispatch, pushes: Pushes) -> bool:
        """Whether the job has what goes with it; else it was refused."""
        if one.bundle is None or one.files is not None:
            return True
        try:
            one.files = pushes.files(*one.bundle)
        except PackError as error:
            self._refused(one, str(error))
            return False
        return True

    def _send_again(self, one: Dispatch) -> bool:
        """Have its bundle packed and sent anew, with the next turn. No job has its key, or that job
        would have been the answer: so it may get other files."""
        if self._pushes is None or one.bundle is None or one.lacked >= _MOST_LACKED:
            return False
        one.files, one.lacked = None, one.lacked + 1
        self._pushes.lost()
        return True

    def _refused(self, one: Dispatch, words: str) -> None:
        log.error("a task's job is not run %s: %s", one.key, words)
        self._dispatches.refused(one.id, words)

    def _cancel(self, dispatch: str, job: str | None, reason: str) -> None:
        try:
            if job is None:
                found, _ = self._server.look_up([(dispatch, None)])
                job = str(found[dispatch]["id"]) if dispatch in found else None
            if job is not None:
                self._server.cancel(job, reason)
        except Refused as refused:
            log.error("a job is not cancelled: %s", refused.args[0])
        self._dispatches.cancelled(dispatch)

    # Hearing -------------------------------------------------------------------------------------

    _after: int | None = None

    def _follow(self) -> None:
        if self._after is None:
            self._after = self._server.last_event()
            self._following.set()
        self._look()
        looked_at = time.monotonic()
        for event in self._server.events(self._after, STATES):
            if self._stop.is_set():
                return
            if event is None:
                pass
            elif event.get("event") == "gap":
                self._after = int(event["next"])
                self._look()
            elif "seq" in event:
                self._after = int(event["seq"])
                self._dispatches.heard(event)
            if time.monotonic() - looked_at > _LOOK_EVERY:
                self._look()
                looked_at = time.monotonic()

    def _look(self) -> None:
        """What became of all that should be there: many in one call."""
        if live := self._dispatches.live():
            self._dispatches.looked_up(*self._server.look_up(live))
