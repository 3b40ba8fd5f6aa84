"""Follow a group to its end: the live output of many jobs, how each ended, the exit code.

The members are looked at by pages, and a bounded number of threads reads their logs, each attempt
from its first byte to its last: what runs while all are busy comes a little later, but whole.
Touches stdout and stderr, and the network.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Final

import click

from remote_client.calls import TERMINAL, Calls
from remote_client.cli.group_words import counts_in_words, summary, waits_for
from remote_client.cli.output import note
from remote_client.cli.prefixed import MemberOutput, PrefixedOutput
from remote_client.cli.session import Session
from remote_client.errors import ApiError, ClientError
from remote_client.transport import Document

READERS: Final = 32
"""Logs that are read at the same time."""
_PAGE: Final = 1000
_LEAST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_LOOK_EVERY: Final = 3.0
"""Seconds between two looks at the group as a whole."""


class _Page:
    """A page of members; one in which all have ended does not change any more."""

    def __init__(self, cursor: str | None) -> None:
        self.cursor = cursor
        self.over = False


class LogReaders:
    """Threads that read the logs of attempts, at most READERS at the same time."""

    def __init__(self, session: Session, output: PrefixedOutput) -> None:
        self.failure: BaseException | None = None
        """What kept one of them from its work."""
        self._session = session
        self._output = output
        self._wanted: queue.SimpleQueue[tuple[str, str, int] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._pending = 0
        self._lock = threading.Condition()

    def read(self, job: str, agent: str, attempt: int) -> None:
        """Read an attempt's log to its end, as soon as a thread is free."""
        with self._lock:
            self._pending += 1
            busy = self._pending
        self._wanted.put((job, agent, attempt))
        if len(self._threads) < min(READERS, busy):
            thread = threading.Thread(target=self._run, daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until all is read, at most so long; whether it is."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._pending, seconds)

    def _run(self) -> None:
        try:
            with self._session.again(quiet=True) as calls:
                while (wanted := self._wanted.get()) is not None:
                    self._copy(calls, *wanted)
                    self._done()
        except (ClientError, OSError) as error:
            self.failure = self.failure or error

    def _copy(self, calls: Calls, job: str, agent: str, attempt: int) -> None:
        lines = MemberOutput(self._output, agent)
        try:
            for piece in calls.log(job, attempt=attempt, follow=True):
                lines.feed(piece)
        except ApiError as error:
            if error.code != "not_found":
                raise
            note(f"the log of {job} on {agent} is not there any more: {error}")
        lines.end()

    def _done(self) -> None:
        with self._lock:
            self._pending -= 1
            self._lock.notify_all()


class GroupWatch:
    """One group being run. `run` returns the exit code."""

    def __init__(self, session: Session, group: Document, aside: bool = False) -> None:
        """With `aside`, all output of the jobs goes to stderr."""
        self.group = group
        self._session = session
        self._id: str = group["id"]
        self._aside = aside
        self._members: dict[str, Document] = {}
        self._read: dict[str, int] = {}
        """The attempt of each job whose log was asked for last."""
        self._pages = [_Page(None)]
        self._looked_at = 0.0
        self._said = ""

    def run(self) -> int:
        """Show all output as it comes, then how each job ended."""
        self._look()
        agents = [member["agent"] for member in self._members.values()]
        readers = LogReaders(self._session, PrefixedOutput(agents, self._aside))
        pause = _LEAST_PAUSE
        while True:
            changed = self._start(readers)
            if all(page.over for page in self._pages):
                break
            pause = _LEAST_PAUSE if changed else min(pause * 1.5, self._longest_pause)
            time.sleep(pause)
            self._raise(readers)
            self._look()
            self._look_at_all()
        while not readers.wait(0.5):
            self._raise(readers)
        self._raise(readers)
        self.group = self._session.calls.group(self._id, persistent=True, limit=_PAGE)
        for line in summary(list(self._members.values())):
            click.echo(line, err=True)
        note(f"group {self._id} {self.group['state']}: {counts_in_words(self.group)}")
        return exit_code(self.group)

    @property
    def _longest_pause(self) -> float:
        """More members are looked at less often."""
        return max(_LONGEST_PAUSE, 0.2 * sum(not page.over for page in self._pages))

    def _look(self) -> None:
        """Bring the members up to date; the first time all pages are found."""
        place = 0
        while place < len(self._pages):
            page = self._pages[place]
            place += 1
            if page.over:
                continue
            found = self._session.calls.group_members(
                self._id, persistent=True, limit=_PAGE, cursor=page.cursor
            )
            self._members |= {member["job"]: member for member in found["items"]}
            page.over = all(member["state"] in TERMINAL for member in found["items"])
            if place == len(self._pages) and (following := found.get("next_cursor")):
                self._pages.append(_Page(following))

    def _start(self, readers: LogReaders) -> bool:
        """Have the logs read of attempts that began; whether there are such."""
        some = False
        for job, member in self._members.items():
            # One that waits again has ended; one that is offered has not begun.
            begun = member["attempt"] - (member["state"] == "assigned")
            for attempt in range(self._read.get(job, 0) + 1, begun + 1):
                readers.read(job, member["agent"], attempt)
                some = True
            self._read[job] = max(begun, self._read.get(job, 0))
        return some

    def _look_at_all(self) -> None:
        """Say when nothing but absent agents is waited for, and when the group is stopped."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        self.group = self._session.calls.group(self._id, persistent=True, limit=1)
        said = waits_for(self.group)
        if said and said != self._said:
            note(f"group {self._id} {said}")
        self._said = said

    def _raise(self, readers: LogReaders) -> None:
        if readers.failure is not None:
            raise readers.failure


def exit_code(group: Document) -> int:
    """What `remotectl run --each` ends with: 0 only if every job succeeded."""
    if group["state"] == "succeeded":
        return 0
    return 130 if group.get("cancel_requested") else 1
