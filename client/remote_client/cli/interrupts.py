"""Ctrl-C and SIGTERM while `remotectl run` works: the first cancels the job, or the group of jobs,
the second leaves.

    nothing was sent        first: leave, no job was submitted
    sent, not answered yet  first: cancel as soon as the answer names the job
    the job is known        first: cancel it
    any                     second: exit at once and say what becomes of the job

Touches SIGINT and SIGTERM, stderr, and the network from a thread of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Final, Literal

from remote_client.cli.output import note
from remote_client.cli.session import Session
from remote_client.errors import ClientError

INTERRUPTED: Final = 130
"""The exit code of who was interrupted: 128 + SIGINT."""


class Interrupts:
    """The wish of the user to end it. Install it before the job is submitted."""

    def __init__(self, session: Session, what: Literal["job", "group"] = "job") -> None:
        self._session = session
        self._what = what
        self._count = 0
        self._sent = False
        self._job: str | None = None
        self._cancelling = False
        self._heard = False

    def install(self) -> None:
        """From now on signals come here, save one that is ignored: in the background of a shell
        Ctrl-C is meant for others."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupted)

    @property
    def sent(self) -> bool:
        """Whether the server may have the job."""
        return self._sent

    @property
    def requested(self) -> bool:
        """Whether the user wants the job to end."""
        return self._count > 0

    def sending(self) -> None:
        """The submission leaves now: from here on the server may have the job."""
        self._sent = True

    def submitted(self, job: str) -> None:
        """The server has answered."""
        self._job = job
        if self._count and not self._cancelling:
            self._begin(job)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 1:
            self._leave()
        elif self._job is not None:
            self._begin(self._job)
        elif self._sent:
            _say(f"the {self._what} is on its way: it is cancelled once the server answers; Ctrl-C "
                 "again exits at once")  # fmt: skip
        else:
            # Raised where the main thread is, which therefore never sends anything.
            raise KeyboardInterrupt

    def _begin(self, job: str) -> None:
        self._cancelling = True
        which = job if self._what == "job" else f"the group {job} with all its jobs"
        _say(f"cancelling {which}; Ctrl-C again exits at once")
        # The main thread may be inside a read or a write: only another one can ask the server now.
        threading.Thread(target=self._cancel, args=(job,), daemon=True).start()

    def _cancel(self, job: str) -> None:
        try:
            with self._session.again() as calls:
                cancel = calls.cancel if self._what == "job" else calls.cancel_group
                cancel(job, "interrupted in remotectl run", persistent=True)
        except ClientError as error:
            note(f"the cancellation did not reach the server: {error}")
        else:
            self._heard = True

    def _leave(self) -> None:
        if self._heard:
            _say(f"left; {self._job} is being cancelled")
        elif self._job is not None:
            _say(f"left before the server heard of the cancellation: {self._job} may run on; "
                 f"cancel it with: remotectl {self._what} cancel {self._job}")  # fmt: skip
        else:
            _say(f"left before the server answered: the {self._what} may run; see: remotectl "
                 f"{self._what} list")  # fmt: skip
        os._exit(INTERRUPTED)


def _say(sentence: str) -> None:
    """Like `note`, but for a signal handler: the main thread may be inside a write to stderr."""
    try:
        os.write(2, f"remotectl: {sentence}\n".encode())
    except OSError:
        # Nobody reads it; the signal has its effect all the same.
        return
