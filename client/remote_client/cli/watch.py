"""Follow one job to its end: output by stream, reasons for waiting, the exit code.

Touches stdout and stderr as raw bytes.
"""

from __future__ import annotations

import time
from itertools import groupby
from typing import BinaryIO

from remote_client.calls import TERMINAL, Calls
from remote_client.cli.output import between, note, stderr, stdout
from remote_client.logs import StoredLog, log_is_over
from remote_client.transport import Document
from remote_protocol import cri

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
_QUIET_WAIT = 1.0
"""Seconds that a job may wait before the reason is said."""
_STDERR = b" stderr "


class Watch:
    """One job being followed. `run` returns the exit code of the contract."""

    def __init__(self, calls: Calls, job: Document, title: str, aside: bool = False) -> None:
        """With `aside`, all output of the job goes to stderr."""
        self._calls = calls
        self._aside = aside
        self.job = job
        self._id: str = job["id"]
        self._title = title
        self._said: str | None = None

    def run(self) -> int:
        """Stream every attempt's log, then say how the job ended when it did not succeed."""
        since = time.monotonic()
        attempt = 1 + self._first()
        while self._wait_for(attempt, since):
            for piece in self._log(attempt):
                self._write(piece)
            attempt, since = attempt + 1, time.monotonic()
        return self._verdict()

    def _first(self) -> bool:
        """Whether the first attempt began at once and was streamed: one call instead of many."""
        log = self._log(None)
        log.idle = _QUIET_WAIT
        for piece in log:
            if log.attempt != 1:
                # It waits, and a waiting job is asked for; or we were too late for the first one.
                return False
            log.idle = None
            self._write(piece)
        return log.attempt == 1

    def _log(self, attempt: int | None) -> StoredLog:
        if attempt is not None and attempt > 1:
            note(f"attempt {attempt} of {self.job['max_attempts']} on {self.job['agent']}")
        log = self._calls.log(self._id, attempt=attempt, follow=True)

        def ended(job: Document) -> bool:
            self.job = job
            return log_is_over(job, log.attempt, log.position)

        log.ended = ended
        return log

    def _wait_for(self, attempt: int, since: float) -> bool:
        """Whether attempt number `attempt` runs or has run; False when the job ended before it."""
        pause = _FIRST_PAUSE
        while True:
            number, state = self.job.get("attempt", 0), self.job["state"]
            begun = state not in ("queued", "assigned")
            if number >= attempt and (begun or number > attempt):
                return True
            if state in TERMINAL:
                return False
            time.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)
            self.job = self._calls.job(self._id, patient=True)
            if time.monotonic() - since >= _QUIET_WAIT:
                self._say_why()

    def _write(self, piece: bytes) -> None:
        if not self._aside:
            write_streams(piece)
        elif (target := stderr()) is not None:
            write_all(target, cri.decode(piece))

    def _say_why(self) -> None:
        reason = self.job.get("pending_reason")
        if reason and reason != self._said:
            note(f"{self._id} waits: {reason}")
            self._said = reason

    def _verdict(self) -> int:
        job = self.job
        if job["state"] == "succeeded":
            return 0
        note(f"{self._id} ({self._title}) {how_it_ended(job)}")
        return exit_code(job)


def how_it_ended(job: Document) -> str:
    """The end of a job in words: state, agent, time, reason."""
    took = ""
    if job.get("started_at") and job.get("ended_at"):
        took = f" after {between(job['started_at'], job['ended_at'])}"
    where = f" on {job['agent']}" if job.get("agent") else ""
    detail = f": {job['end_detail']}" if job.get("end_detail") else ""
    return f"{job['state']}{where}{took}{detail}"


def exit_code(job: Document) -> int:
    """What `remotectl` ends with for an ended job."""
    reason, code = job.get("end_reason"), job.get("exit_code")
    if job["state"] == "succeeded":
        return 0
    if job["state"] == "cancelled":
        return 130
    if reason == "timeout":
        return 124
    if reason == "memory_limit":
        return 137
    if reason in ("exit", "signal") and isinstance(code, int) and code:
        # Only the low byte reaches a POSIX shell: 256 must not look like success.
        return code if code & 0xFF else 1
    return 125


def write_streams(piece: bytes) -> None:
    """Write whole CRI records to stdout and stderr as they were, keeping their order."""
    if not piece:
        return
    if _STDERR not in piece:
        write_all(stdout(), cri.decode(piece))
        return
    for stream, lines in groupby(piece.split(b"\n"), _stream_of):
        data = cri.decode(b"\n".join(lines))
        if stream != cri.STDERR:
            if data:
                write_all(stdout(), data)
        elif (target := stderr()) is not None:
            write_all(target, data)


def _stream_of(line: bytes) -> bytes:
    return line[cri.STAMP_LENGTH + 1 : cri.STAMP_LENGTH + 7]


def write_all(target: BinaryIO, data: bytes) -> None:
    """Write and flush at once: the reader sees it live."""
    if data:
        target.write(data)
        target.flush()
