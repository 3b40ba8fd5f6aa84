"""Follow one job to its end: output by stream, reasons for waiting, the exit code.

Touches stdout and stderr as raw bytes.
"""

from __future__ import annotations

import sys
import time
from itertools import groupby
from typing import BinaryIO

from remote_client.cli.output import between, note
from remote_client.client import Client
from remote_protocol import cri
from remote_protocol.api import JobView
from remote_protocol.states import EndReason, JobState

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
_QUIET_WAIT = 1.0
"""Seconds that a job may wait before the reason is said."""
_STDERR = b" stderr "


class Watch:
    """One job being followed. `run` returns the exit code of the contract."""

    def __init__(self, client: Client, job: JobView, title: str) -> None:
        self._client = client
        self._job = job
        self._title = title
        self._said: str | None = None

    def run(self) -> int:
        """Stream every attempt's log, then say how the job ended when it did not succeed."""
        attempt = 1
        while self._wait_for(attempt):
            self._stream(attempt)
            attempt += 1
        self._job = self._client.wait(self._job.id)
        return self._verdict()

    def _wait_for(self, attempt: int) -> bool:
        """Whether attempt number `attempt` runs or has run; False when the job ended before it."""
        since, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            self._job = self._client.job(self._job.id, patient=True)
            begun = (
                self._job.state is not JobState.QUEUED and self._job.state is not JobState.ASSIGNED
            )
            if self._job.attempt >= attempt and (begun or self._job.attempt > attempt):
                return True
            if self._job.state.terminal:
                return False
            if time.monotonic() - since >= _QUIET_WAIT:
                self._say_why()
            time.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)

    def _say_why(self) -> None:
        reason = self._job.pending_reason
        if reason and reason != self._said:
            note(f"{self._job.id} waits: {reason}")
            self._said = reason

    def _stream(self, attempt: int) -> None:
        if attempt > 1:
            note(f"attempt {attempt} of {self._job.max_attempts} on {self._job.agent}")
        for piece in self._client.stored_log(self._job.id, attempt=attempt, follow=True):
            write_streams(piece)

    def _verdict(self) -> int:
        job = self._job
        if job.state is JobState.SUCCEEDED:
            return 0
        took = ""
        if job.started_at and job.ended_at:
            took = f" after {between(job.started_at, job.ended_at)}"
        where = f" on {job.agent}" if job.agent else ""
        detail = f": {job.end_detail}" if job.end_detail else ""
        note(f"{job.id} ({self._title}) {job.state}{where}{took}{detail}")
        return exit_code(job)


def exit_code(job: JobView) -> int:
    """What `remotectl` ends with for an ended job."""
    if job.state is JobState.SUCCEEDED:
        return 0
    if job.state is JobState.CANCELLED:
        return 130
    if job.end_reason is EndReason.TIMEOUT:
        return 124
    if job.end_reason is EndReason.MEMORY_LIMIT:
        return 137
    if job.end_reason in (EndReason.EXIT, EndReason.SIGNAL) and job.exit_code:
        # Only the low byte reaches a POSIX shell: 256 must not look like success.
        return job.exit_code if job.exit_code & 0xFF else 1
    return 125


def write_streams(piece: bytes) -> None:
    """Write whole CRI records to stdout and stderr as they were, keeping their order."""
    if _STDERR not in piece:
        write_all(sys.stdout.buffer, cri.decode(piece))
        return
    for stream, lines in groupby(piece.split(b"\n"), _stream_of):
        target = sys.stderr.buffer if stream == cri.STDERR else sys.stdout.buffer
        write_all(target, cri.decode(b"\n".join(lines)))


def _stream_of(line: bytes) -> bytes:
    return line[cri.STAMP_LENGTH + 1 : cri.STAMP_LENGTH + 7]


def write_all(target: BinaryIO, data: bytes) -> None:
    """Write and flush at once: the reader sees it live."""
    if data:
        target.write(data)
        target.flush()
