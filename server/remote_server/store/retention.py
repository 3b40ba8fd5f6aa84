"""Forgetting jobs that ended long ago, with their attempts and timelines. Queries live here.

SQLite uses the pages that become free for new jobs: the file stays as large as it once was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, delete, select, text

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_protocol.states import JobState
from remote_server.domain.model import OldJob
from remote_server.store.history import last_event_of, note_forgotten
from remote_server.store.members import MEMBER_RANGE, member_range
from remote_server.store.outbox import untold_jobs
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.schema import (
    LIVE_STATES,
    artifact_sets,
    artifacts,
    attempts,
    groups,
    jobs,
    outputs,
    specs,
    timeline,
)

BATCH: Final = 100
"""Jobs forgotten in one transaction: some milliseconds."""
_TERMINAL: Final = tuple(state.value for state in JobState if state.terminal)
_HELD: Final = select(attempts.c.job).where(attempts.c.job == jobs.c.id, text(LIVE_STATES)).exists()
# A job is older than its end: its id bounds the search, along an index that is there anyway.
_OLD: Final = (
    select(jobs.c.id)
    .where(
        jobs.c.queue == bindparam("of_queue"),
        jobs.c.id > bindparam("after"),
        jobs.c.id < bindparam("made_before"),
        jobs.c.ended_at < bindparam("before"),
        is_state(jobs.c.state, *_TERMINAL),
        ~_HELD,
    )
    .order_by(jobs.c.id)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_ATTEMPTS: Final = select(attempts.c.number).where(attempts.c.job == bindparam("of"))
_PLACE: Final = select(jobs.c.queue, jobs.c.state, jobs.c.group_id).where(
    jobs.c.id == bindparam("of"), is_state(jobs.c.state, *_TERMINAL), ~_HELD
)
_FORGET: Final = (
    delete(timeline).where(timeline.c.job == bindparam("of")),
    delete(artifacts).where(artifacts.c.job == bindparam("of")),
    delete(artifact_sets).where(artifact_sets.c.job == bindparam("of")),
    delete(outputs).where(outputs.c.job == bindparam("of")),
    delete(attempts).where(attempts.c.job == bindparam("of")),
    delete(specs).where(specs.c.job == bindparam("of")),
    delete(jobs).where(jobs.c.id == bindparam("of")),
)
_FORGET_GROUP: Final = delete(groups).where(
    groups.c.id == bindparam("group"), ~select(jobs.c.id).where(*MEMBER_RANGE).exists()
)


class Retention(Repository):
    """The repository of what is kept no longer."""

    async def old_jobs(
        self, queue: str, before: float, after: str = "", limit: int = BATCH
    ) -> list[OldJob]:
        """Jobs of a queue that ended before `before` (Unix seconds) and that nobody holds, the
        oldest first; go on after a job's id."""
        where = {
            "of_queue": queue,
            "after": after,
            "made_before": make_ulid(max(0, int(before * 1000)), bytes(10)),
            "before": before,
            "count": limit,
        }

        def find(reader: Reader) -> list[OldJob]:
            ids = [row.id for row in reader.all(_OLD, where)]
            return [
                OldJob(
                    job, tuple(AttemptId(job, a.number) for a in reader.all(_ATTEMPTS, {"of": job}))
                )
                for job in ids
            ]

        return await self._database.read(find, long=True)

    async def forget_jobs(self, ids: Sequence[str]) -> int:
        """Delete what is known of these jobs, but for those that have not ended, or whose end
        webhooks have yet to tell; how many."""

        def forget(tx: Transaction) -> int:
            count, last, untold = 0, 0, untold_jobs(tx, ids)
            of_groups: set[str] = set()
            for job in ids:
                if job in untold:
                    continue
                row = tx.one(_PLACE, {"of": job})
                if row is None:
                    continue
                last = max(last, last_event_of(tx, job))
                for statement in _FORGET:
                    tx.run(statement, {"of": job})
                tx.moves(row.queue, JobState(row.state), None)
                if row.group_id is not None:
                    of_groups.add(row.group_id)
                count += 1
            for group in sorted(of_groups):
                tx.run(_FORGET_GROUP, member_range(group))
            note_forgotten(tx, last)
            return count

        # What a power cut brings back is forgotten again.
        return await self._database.write(forget, relaxed=True)
