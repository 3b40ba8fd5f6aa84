"""Follow one job to its end: output by stream, reasons for waiting, the exit code.

Touches stdout and stderr as raw bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO

from remote_client.calls import TERMINAL, Calls
from remote_client.cli.hints import agent_is_away, hint_for_job
from remote_client.cli.output import between, note, stderr, stdout
from remote_client.logs import BlockingLog, log_is_over
from remote_client.transport import Document
from remote_protocol import cri

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
_QUIET_WAIT = 1.0
"""Seconds that a job may wait before the reason is said."""
_LOOK_EVERY = 10.0
"""Seconds of silence after which a look is taken at what became of the job's agent."""
_STDERR = b" stderr "


class Follower:
    """One job whose log is followed over its attempts. `job` is what was last heard of it."""

    def __init__(self, calls: Calls, job: Document) -> None:
        self.job = job
        self._calls = calls
        self._id: str = job["id"]
        self._said: str | None = None
        self._began = time.monotonic()

    def pieces(self, attempt: int | None, offset: int = 0, only: bool = False) -> Iterator[bytes]:
        """Its log from `offset` of an attempt on, by default of the current one, to its end."""
        since = self._began
        attempt = attempt or max(1, int(self.job.get("attempt") or 0))
        while self._wait_for(attempt, since):
            yield from self._log(attempt, offset)
            if only:
                return
            attempt, offset, since = attempt + 1, 0, time.monotonic()

    def from_the_first(self) -> Iterator[bytes]:
        """The logs of all attempts. The first one is asked for before it is known to run."""
        log = self._calls.log(self._id, follow=True)
        self._hear(log)
        log.idle = _QUIET_WAIT
        late = False
        for piece in log:
            if log.attempt != 1:
                # It waits, and a waiting job is asked for; or we were too late for the first one.
                late = True
                break
            log.idle = _LOOK_EVERY
            yield from self._heard_of(piece)
        yield from self.pieces(1 if late or log.attempt != 1 else 2)

    def say_how_it_ended(self) -> None:
        """A sentence, unless it succeeded."""
        if self.job["state"] in TERMINAL and self.job["state"] != "succeeded":
            note(f"{self._id} {how_it_ended(self.job)}")

    def _log(self, attempt: int, offset: int) -> Iterator[bytes]:
        if attempt > 1:
            note(f"attempt {attempt} of {self.job.get('max_attempts')} on {self.job.get('agent')}")
        log = self._calls.log(self._id, attempt=attempt, offset=offset, follow=True)
        self._hear(log)
        log.idle = _LOOK_EVERY
        for piece in log:
            yield from self._heard_of(piece)

    def _hear(self, log: BlockingLog) -> None:
        def ended(job: Document) -> bool:
            self.job = job
            return log_is_over(job, log.attempt, log.position)

        log.ended = ended

    def _heard_of(self, piece: bytes) -> Iterator[bytes]:
        """The piece; when there is none for long, perhaps the agent is away."""
        if piece:
            yield piece
            return
        self.job = self._calls.job(self._id, persistent=True)
        if self.job["state"] in ("assigned", "running"):
            self._say(agent_is_away(self._calls, self.job), "")

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
            self.job = self._calls.job(self._id, persistent=True)
            if time.monotonic() - since >= _QUIET_WAIT:
                self._say(self.job.get("pending_reason"), "waits: ")

    def _say(self, words: object, how: str) -> None:
        if words and words != self._said:
            note(f"{self._id} {how}{words}")
            self._said = str(words)


class Watch:
    """One job being run. `run` returns the exit code of the contract."""

    def __init__(self, calls: Calls, job: Document, title: str, aside: bool = False) -> None:
        """With `aside`, all output of the job goes to stderr."""
        self._follower = Follower(calls, job)
        self._title = title
        self._aside = aside

    @property
    def job(self) -> Document:
        """What was last heard of it."""
        return self._follower.job

    def run(self) -> int:
        """Stream every attempt's log, then say how the job ended when it did not succeed."""
        for piece in self._follower.from_the_first():
            if not self._aside:
                write_streams(piece)
            elif (target := stderr()) is not None:
                write_all(target, cri.decode(piece))
        if self.job["state"] != "succeeded":
            note(f"{self.job['id']} ({self._title}) {how_it_ended(self.job)}")
        if hint := hint_for_job(self.job):
            note(hint)
        return exit_code(self.job)


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
