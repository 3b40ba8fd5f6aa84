"""The standard input of `remotectl run`: whether a job gets it, and the thread that sends it.

As with ssh a job gets it at once and as it comes, and nobody waits for its end but the job. A
terminal is not sent, nor is what holds nothing, so that most jobs have no input. Touches
descriptor 0.
"""

from __future__ import annotations

import os
import stat
import sys
import threading

from remote_client.cli.output import note
from remote_client.cli.session import Session
from remote_client.errors import ClientError, UsageError
from remote_client.inputs import InputSender
from remote_protocol.units import format_size

STDIN = 0


def is_sent(forced: bool, never: bool, detach: bool) -> bool:
    """Whether standard input is the job's. UsageError when it is asked for and closed."""
    if never:
        return False
    # A closed one is None: its number may have been given to another file since.
    mode = None if sys.stdin is None else _mode()
    if forced:
        if mode is None:
            raise UsageError("--stdin: standard input is closed; leave --stdin out")
        return True
    if mode is None:
        return False
    if stat.S_ISREG(mode):
        return os.lseek(STDIN, 0, os.SEEK_CUR) < os.fstat(STDIN).st_size
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return False
    if detach:
        # Whoever detaches wants to be gone, and a pipe may never end: CI systems hold one open.
        note("standard input is not sent with --detach: --stdin sends it to its end first; "
             "-n keeps quiet about it")  # fmt: skip
    return not detach


def _mode() -> int | None:
    try:
        return os.fstat(STDIN).st_mode
    except OSError:
        return None


def read_all(option: str, most: int) -> bytes:
    """What standard input has, at most a little more than `most` bytes. UsageError when it is
    closed; `option` is the one that asks for it."""
    if sys.stdin is None:
        raise UsageError(f"{option} -: standard input is closed; name a file")
    parts, size = [], 0
    while size <= most and (part := os.read(STDIN, 1 << 16)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


class Stdin:
    """Standard input on its way to a job."""

    def __init__(self, session: Session, job: str) -> None:
        self._session = session
        self._job = job
        self._sender: InputSender | None = None
        self._over = False

    @property
    def breaks_off(self) -> bool:
        """Whether the job's input ends in the middle when this process does."""
        return not (self._over or (self._sender is not None and self._sender.over))

    def start(self) -> None:
        """Send it in a thread that nobody waits for: the job may end before its input does."""
        threading.Thread(target=self.send, name="stdin", daemon=True).start()

    def send(self) -> None:
        """Send all of it. When that fails the job is cancelled, for its input is incomplete."""
        try:
            # Who follows the output tells of outages.
            with self._session.again(quiet=True) as calls:
                self._sender = InputSender(calls, self._job, STDIN)
                self._sender.run()
        except OSError as error:
            self._give_up(f"standard input cannot be read: {error.strerror}")
        except ClientError as error:
            self._give_up(f"standard input cannot be sent: {error}")
        else:
            self._over = True

    @property
    def sent(self) -> str:
        """How much the server has, in words."""
        return format_size(0 if self._sender is None else self._sender.sent)

    def _give_up(self, why: str) -> None:
        note(f"{why.rstrip('.')}. Cancelling {self._job}: its input is incomplete")
        try:
            with self._session.again() as calls:
                calls.cancel(self._job, why, persistent=True)
        except ClientError as error:
            note(f"the cancellation did not reach the server: {error}; it cancels the job itself "
                 "when its input is silent for long")  # fmt: skip
