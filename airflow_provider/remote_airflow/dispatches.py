"""The dispatches that one executor knows: what has to be said to the server, and to Airflow. Pure.

One try of a task may be several dispatches (a deferral, each poke of a sensor), and the next may
come while the job of the former still ends: only the current one of a key is reported, once. May be
used by several threads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition
from typing import Any, Final, NamedTuple

ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})
STATES: Final = ("running", *sorted(ENDED))
"""States of jobs that change anything here."""


class Told(StrEnum):
    """What Airflow is told of a task."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class Report(NamedTuple):
    """One thing that Airflow is told."""

    key: Hashable
    what: Told
    dispatch: str
    detail: str = ""


class Measures(NamedTuple):
    """How much there is now, and what has happened since the last look."""

    outbox: int
    followed: int
    refused: int
    waited: list[float]
    """Seconds from the dispatch of each task until its job was running."""


@dataclass(slots=True)
class Dispatch:
    """One job for a task, from before it is submitted until it has ended."""

    id: str
    key: Hashable
    body: dict[str, Any] | None = field(default=None, repr=False)
    """What is to be submitted; None: that is done, or was by another scheduler."""
    job: str | None = None
    running: bool = False
    began: float | None = None
    """When it was dispatched here, by the monotonic clock."""
    bundle: tuple[str, str | None] | None = None
    """The DAG bundle, by name and version, that goes with the job."""
    files: list[dict[str, Any]] | None = field(default=None, repr=False)
    """What brings it. Once chosen it stays: the same key is for the same job, and the answer to a
    submission may be lost."""
    lacked: int = 0
    """How often the server said that it has no such files."""

    @property
    def submission(self) -> dict[str, Any] | None:
        """What is submitted."""
        return (
            self.body if self.body is None or not self.files else {**self.body, "files": self.files}
        )


class Dispatches:
    """All of them."""

    def __init__(self) -> None:
        self.changed = Condition()
        """Notified when there is something to say to the server."""
        self._by_id: dict[str, Dispatch] = {}
        self._current: dict[Hashable, str] = {}
        self._outbox: deque[str] = deque()
        self._cancels: dict[str, tuple[str | None, str]] = {}
        self._reports: list[Report] = []
        self._refused = 0
        self._waited: list[float] = []
        self.unverified: set[str] = set()
        """Adopted while the server was away: it has not said yet that it knows them."""

    # What the scheduler says -------------------------------------------------------------------

    def add(
        self,
        key: Hashable,
        dispatch: str,
        body: dict[str, Any],
        bundle: tuple[str, str | None] | None = None,
    ) -> None:
        """A new dispatch, to be submitted. A former one of the key is of no interest any more; its
        job is left to end by itself, as a task does that was deferred."""
        with self.changed:
            self._supersede(key)
            began = time.monotonic()
            self._by_id[dispatch] = Dispatch(dispatch, key, body, began=began, bundle=bundle)
            self._current[key] = dispatch
            self._outbox.append(dispatch)
            self.changed.notify_all()

    def adopt(
        self, key: Hashable, dispatch: str, job: dict[str, Any] | None, verified: bool = True
    ) -> None:
        """A dispatch of another scheduler; `job` as the server shows it."""
        with self.changed:
            if dispatch not in self._by_id:
                self._supersede(key)
                self._by_id[dispatch] = Dispatch(dispatch, key)
                self._current[key] = dispatch
                if not verified:
                    self.unverified.add(dispatch)
            if job is not None:
                self._look(dispatch, job)

    def holds(self, key: Hashable, dispatch: str) -> bool:
        """Whether this is the current dispatch of the key already."""
        with self.changed:
            return self._current.get(key) == dispatch

    def revoke(self, key: Hashable, reason: str) -> None:
        """Airflow wants nothing of this task's job any more: it is cancelled and not reported."""
        with self.changed:
            self._drop(key, reason)

    def keep_only(self, keys: set[Any], reason: str) -> list[Hashable]:
        """Cancel what is not among these keys: Airflow gave those up without saying so."""
        with self.changed:
            gone = [key for key in self._current if key not in keys]
            for key in gone:
                self._drop(key, reason)
            return gone

    def reports(self) -> list[Report]:
        """What is to be told, each once. Whatever is told as ended is known no longer."""
        with self.changed:
            found, self._reports = self._reports, []
            return [report for report in found if self._still_wanted(report)]

    def measures(self) -> Measures:
        """What metrics are made of; what has happened is given once."""
        with self.changed:
            followed = sum(one.body is None for one in self._by_id.values())
            found = Measures(len(self._outbox), followed, self._refused, self._waited)
            self._refused, self._waited = 0, []
            return found

    def _still_wanted(self, report: Report) -> bool:
        if self._current.get(report.key) != report.dispatch:
            return False
        if report.what is not Told.RUNNING:
            del self._current[report.key]
            self._by_id.pop(report.dispatch, None)
        return True

    # What the server is told -------------------------------------------------------------------

    def to_submit(self, most: int) -> list[Dispatch]:
        """The next ones to be submitted; they stay until `submitted` or `refused`."""
        with self.changed:
            found: list[Dispatch] = []
            for dispatch in list(self._outbox):
                one = self._by_id.get(dispatch)
                if one is None or one.body is None:
                    self._take_out(dispatch)
                elif len(found) < most:
                    found.append(one)
            return found

    def submitted(self, dispatch: str, job: str) -> None:
        """The server has it. One that was given up meanwhile can be cancelled now; one that another
        dispatch of its key followed ends by itself."""
        with self.changed:
            self._take_out(dispatch)
            known = self._by_id.get(dispatch)
            if known is not None:
                known.body, known.job = None, job
            elif dispatch in self._cancels:
                self._cancels[dispatch] = (job, self._cancels[dispatch][1])

    def refused(self, dispatch: str, reason: str) -> None:
        """The server will never run it."""
        with self.changed:
            self._take_out(dispatch)
            if (known := self._by_id.get(dispatch)) is not None:
                self._refused += 1
                known.body = None
                self._end(known, Told.FAILED, reason)

    def cancels(self) -> dict[str, tuple[str | None, str]]:
        """Jobs to be cancelled, by dispatch, with the reason; without a job's id it is to be looked
        up. They stay until `cancelled`."""
        with self.changed:
            return dict(self._cancels)

    def cancelled(self, dispatch: str) -> None:
        """The server was told."""
        with self.changed:
            self._cancels.pop(dispatch, None)

    def pending(self) -> bool:
        """Whether there is something to say to the server."""
        return bool(self._outbox or self._cancels)

    # What the server says ----------------------------------------------------------------------

    def heard(self, event: dict[str, Any]) -> None:
        """A change of a job."""
        with self.changed:
            dispatch = event.get("idempotency_key")
            if dispatch in self._by_id:
                job = {"id": event["job"], **event, "end_detail": event.get("detail")}
                self._look(dispatch, job)

    def looked_up(self, found: dict[str, dict[str, Any]], missing: set[str]) -> None:
        """What the server knows of jobs by now."""
        with self.changed:
            for dispatch, job in found.items():
                if dispatch in self._by_id:
                    self._look(dispatch, job)
            for dispatch in missing:
                known = self._by_id.get(dispatch)
                # One that is in the outbox is not known yet.
                if known is not None and known.body is None:
                    self._end(known, Told.FAILED, "the server knows no job of this task any more")

    def live(self) -> list[tuple[str, str | None]]:
        """Dispatches whose end has not come, and that the server should know: with the ids of their
        jobs, where these are known."""
        with self.changed:
            return [(one.id, one.job) for one in self._by_id.values() if one.body is None]

    def _look(self, dispatch: str, job: dict[str, Any]) -> None:
        known = self._by_id[dispatch]
        known.job = str(job["id"])
        self.unverified.discard(dispatch)
        state = job.get("state")
        if state == "running" and not known.running:
            known.running = True
            if known.began is not None:
                self._waited.append(time.monotonic() - known.began)
            self._reports.append(Report(known.key, Told.RUNNING, dispatch))
        elif state in ENDED:
            done = state == "succeeded"
            self._end(known, Told.SUCCESS if done else Told.FAILED, "" if done else why(job))

    def _end(self, known: Dispatch, what: Told, detail: str) -> None:
        self.unverified.discard(known.id)
        told = any(
            one.dispatch == known.id and one.what is not Told.RUNNING for one in self._reports
        )
        if not told:
            self._reports.append(Report(known.key, what, known.id, detail))

    def _supersede(self, key: Hashable) -> None:
        former = self._current.pop(key, None)
        if former is not None:
            self._by_id.pop(former, None)
            self.unverified.discard(former)
            self._take_out(former)

    def _drop(self, key: Hashable, reason: str) -> None:
        former = self._current.pop(key, None)
        if former is None:
            return
        known = self._by_id.pop(former)
        self.unverified.discard(former)
        # While it is being submitted nobody can say whether the server has it.
        self._take_out(former)
        self._cancels[former] = (known.job, reason)
        self.changed.notify_all()

    def _take_out(self, dispatch: str) -> None:
        if dispatch in self._outbox:
            self._outbox.remove(dispatch)


def why(job: dict[str, Any]) -> str:
    """Why a job has not succeeded, as the server shows it or told of it."""
    reason, code = job.get("end_reason"), job.get("exit_code")
    parts = [f"job {job['id']} {job['state']}", f"({reason})" if reason else ""]
    if code is not None:
        parts.append(f"exit code {code}")
    # What it told begins with both.
    said = str(job.get("end_detail") or "")
    said = said.removeprefix(f"{reason}, exit code {code}: ").removeprefix(f"{reason}: ")
    text = " ".join(part for part in parts if part)
    return f"{text}: {said}" if said else text


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Slices of a list."""
    return [items[at : at + size] for at in range(0, len(items), size)]
