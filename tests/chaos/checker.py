"""The judge of a chaos run: compares what the server says with what the jobs themselves recorded.

Reads records, the API and /proc; decides nothing by time.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from remote_client.client import Client
from remote_protocol import cri
from remote_protocol.api.jobs import AttemptView, JobView
from remote_protocol.states import AttemptState, EndReason, JobState
from tests.chaos.actor import DAMAGED
from tests.chaos.plan import Planned, reading_of

_NOTICED = frozenset({"_make_folders", "_link", "_pipe", "_delete"})
"""Damages that leave something else in place of an attempt's files, or nothing."""
_DAMAGE_WORDS = re.compile("damaged|directory is gone|is no attempt")
SECRET = b"nobody may read this"
"""What the file holds that hostile jobs want to read through their agent."""


@dataclass
class Verdict:
    """What the checker found: faults by sentence, and the figures of the run."""

    wrong: list[str] = field(default_factory=list)
    jobs: int = 0
    attempts: int = 0
    bytes_compared: int = 0
    inputs: int = 0
    """Attempts that have read an input to its end."""
    reasons: Counter[str] = field(default_factory=Counter)

    def complain(self, job: str, sentence: str) -> None:
        """Note that an invariant does not hold for a job."""
        self.wrong.append(f"{job}: {sentence}")


def check_jobs(
    client: Client, planned: dict[str, Planned], records: Path, disturbed: frozenset[str]
) -> Verdict:
    """Judge every job of the run. `disturbed` are jobs that were killed or cancelled on purpose."""
    verdict = Verdict()
    for identity, plan in planned.items():
        job = client.job(identity)
        verdict.jobs += 1
        verdict.attempts += len(job.attempts)
        verdict.reasons[str(job.end_reason)] += 1
        _check_end(verdict, client, job, plan, identity in disturbed)
        _check_starts(verdict, job, records)
        if plan.hostile:
            _check_secret(verdict, client, job)
            continue
        for attempt in job.attempts:
            _check_log(verdict, client, job, attempt, records)
            if plan.spec.stdin:
                _check_input(verdict, job, attempt, plan.feed, records)
    return verdict


def _check_end(
    verdict: Verdict, client: Client, job: JobView, plan: Planned, disturbed: bool
) -> None:
    if not job.state.terminal:
        verdict.complain(job.id, f"has not ended: {job.state}, {job.pending_reason}")
        return
    ends = [entry for entry in client.timeline(job.id) if entry.state and entry.state.terminal]
    if len(ends) != 1:
        verdict.complain(job.id, f"ended {len(ends)} times")
    allowed = set(plan.reasons) | {EndReason.LOST}
    if disturbed or plan.cancel_after is not None:
        allowed |= {EndReason.CANCELLED, EndReason.SIGNAL, EndReason.EXIT}
    if plan.hostile:
        if job.end_reason is EndReason.LOST and not job.end_detail:
            verdict.complain(job.id, "damaged its attempt, and nobody says so")
        return
    if job.end_reason not in allowed:
        verdict.complain(
            job.id,
            f"{plan.shape} ended as {job.end_reason} ({job.end_detail}), allowed {sorted(allowed)}",
        )
    if job.end_reason is EndReason.EXIT and (job.exit_code == 0) != (
        job.state is JobState.SUCCEEDED
    ):
        verdict.complain(job.id, f"is {job.state} with exit code {job.exit_code}")


def _check_starts(verdict: Verdict, job: JobView, records: Path) -> None:
    path = records / f"{job.id}.starts"
    starts = path.read_text().split("\n")[:-1] if path.exists() else []
    numbers = [line.split()[0] for line in starts]
    if len(numbers) > job.max_attempts:
        verdict.complain(
            job.id, f"started {len(numbers)} times, {job.max_attempts} allowed: {starts}"
        )
    for number, count in Counter(numbers).items():
        if count > 1:
            verdict.complain(job.id, f"attempt {number} started {count} times: {starts}")
    if job.end_reason is EndReason.EXIT and not starts:
        verdict.complain(job.id, "ended with an exit code but never started")


def _check_log(
    verdict: Verdict, client: Client, job: JobView, attempt: AttemptView, records: Path
) -> None:
    if attempt.state is AttemptState.WITHDRAWN:
        return
    stored = b"".join(client.stored_log(job.id, attempt=attempt.number))
    whole = attempt.end_reason is EndReason.EXIT and attempt.state is AttemptState.ENDED
    for stream, suffix in ((cri.STDOUT, "out"), (cri.STDERR, "err")):
        path = records / f"{job.id}.{attempt.number}.{suffix}"
        recorded = path.read_bytes() if path.exists() else b""
        logged = cri.decode(stored, stream)
        verdict.bytes_compared += len(logged)
        if whole and logged != recorded:
            verdict.complain(job.id, _difference(attempt, suffix, logged, recorded))
        elif not whole and not recorded.startswith(logged):
            verdict.complain(
                job.id, "log is no prefix: " + _difference(attempt, suffix, logged, recorded)
            )
    if attempt.state is AttemptState.ENDED and not attempt.log_complete:
        verdict.complain(job.id, f"attempt {attempt.number} ended without its whole log")


def _check_input(
    verdict: Verdict, job: JobView, attempt: AttemptView, feed: bytes, records: Path
) -> None:
    """Whoever read to the end has read the whole input, byte for byte, and nothing else."""
    path = records / f"{job.id}.{attempt.number}.out"
    said = path.read_bytes() if path.exists() else b""
    verdict.inputs += bool(said)
    if said and said != reading_of(feed):
        verdict.complain(
            job.id,
            f"attempt {attempt.number} took {said!r} for its input, which is {len(feed)} bytes",
        )
    if not said and attempt.end_reason is EndReason.EXIT and attempt.exit_code == 0:
        verdict.complain(job.id, f"attempt {attempt.number} ended well without its input")


def unnamed_damage(
    verdict: Verdict, client: Client, planned: dict[str, Planned], lines: list[str]
) -> None:
    """Complain of each job that put something in place of its attempt's files, or took them away,
    and is not named for it: in what the agents log (`lines`), or as the reason of its end."""
    for identity, plan in planned.items():
        if plan.damage not in _NOTICED:
            continue
        job = client.job(identity)
        done = [a for a in job.attempts if a.exit_code == DAMAGED and a.state is AttemptState.ENDED]
        lost = job.end_reason is EndReason.LOST and job.end_detail
        named = any(identity in line and _DAMAGE_WORDS.search(line) for line in lines)
        if done and not (named or lost):
            verdict.complain(identity, f"did {plan.damage} to its attempt, and nobody says so")


def _check_secret(verdict: Verdict, client: Client, job: JobView) -> None:
    """A job that puts links in place of its agent's files gets nothing to read by that."""
    for attempt in job.attempts:
        if SECRET in b"".join(client.stored_log(job.id, attempt=attempt.number)):
            verdict.complain(job.id, "its log holds a file of somebody else")


def _difference(attempt: AttemptView, suffix: str, logged: bytes, recorded: bytes) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(logged, recorded, strict=False)) if a != b),
        min(len(logged), len(recorded)),
    )
    return (
        f"attempt {attempt.number} ({attempt.end_reason}) std{suffix}: the log has "
        f"{len(logged)} bytes, the job recorded {len(recorded)}; first difference at {at}"
    )


def carriers(mark: str) -> Iterator[int]:
    """Other living processes that carry `mark` in their environment or command line."""
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            state = (directory / "stat").read_text().rpartition(")")[2].split()[0]
            text = (directory / "environ").read_bytes() + (directory / "cmdline").read_bytes()
        except OSError:
            continue
        own = int(directory.name) == os.getpid()
        if mark.encode() in text and state not in "ZX" and not own:
            yield int(directory.name)


def processes_left(mark: str) -> list[str]:
    """Command lines of those processes: leftovers of jobs."""
    left = []
    for pid in carriers(mark):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            left.append(f"{pid} {command.decode('utf-8', 'replace')}")
    return left


def groups_left(jobs: Iterable[str], root: Path = Path("/sys/fs/cgroup")) -> list[str]:
    """Control groups that were made for these jobs and are still there."""
    names = set(jobs)
    groups = root.rglob("job-*")
    return [str(group) for group in groups if group.name[4:30] in names]


def files_left(state: Path, damaged: frozenset[str] = frozenset()) -> list[str]:
    """What an agent with nothing to do should not have on its disk: attempts that it did not
    settle, directories that it could not read, work directories. Not those of `damaged` jobs."""
    attempts = state / "attempts"
    broken = [e for e in (attempts / ".broken").glob("*") if e.name[:26] not in damaged]
    kept = [e for e in attempts.iterdir() if e.name[:1] != "." and e.name[:26] not in damaged]
    return [
        *(f"broken attempt {entry.name}" for entry in broken),
        *(f"attempt {e.name} is not settled" for e in kept if not (e / "settled").exists()),
        *(f"work directory of {entry.name}" for entry in kept if (entry / "work").exists()),
    ]
