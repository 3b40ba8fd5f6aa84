"""Jobs that are known by their ids or by the keys that they were submitted with. Queries live
here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Select, bindparam, select

from remote_server.domain.model import Job, Principal
from remote_server.slices import slices
from remote_server.store.ports import Reader, Row
from remote_server.store.repository import Repository
from remote_server.store.rows import SELECT_LISTED_JOB, listed_job_from
from remote_server.store.schema import jobs
from remote_server.store.specifications import Specs

_SLICE: Final = 50
"""Jobs that are read without letting others run."""
_BY_ID: Final = SELECT_LISTED_JOB.where(jobs.c.id == bindparam("wanted"))
_BY_KEY: Final = select(jobs.c.id).where(
    jobs.c.idempotency_key == bindparam("wanted"),
    jobs.c.submitted_by.is_not_distinct_from(bindparam("submitter")),
)


class FoundJobs(NamedTuple):
    """What a look-up has found."""

    jobs: list[Job]
    """Each once. What is large in their specifications is cut; `Job.abridged` names it."""
    keys: dict[str, str]
    """The id of the job of each key that is known."""


class JobLookups(Repository):
    """The repository of jobs that somebody knows."""

    specs: Specs

    async def known_jobs(self, ids: Sequence[str], keys: Sequence[str], by: Principal) -> FoundJobs:
        """The jobs with these ids, and those that `by` submitted with these idempotency keys."""
        known: dict[str, str] = {}
        async for part in slices(keys, _SLICE):
            rows = await self._each(
                _BY_KEY, [{"wanted": key, "submitter": by.text} for key in part]
            )
            known |= {
                key: str(row.id) for key, row in zip(part, rows, strict=True) if row is not None
            }
        found: list[Job] = []
        async for wanted in slices(list(dict.fromkeys((*ids, *known.values()))), _SLICE):
            rows = await self._each(_BY_ID, [{"wanted": job} for job in wanted])
            found += [listed_job_from(row, self.specs) for row in rows if row is not None]
        return FoundJobs(found, known)

    async def _each(
        self, statement: Select[tuple[object, ...]], values: Sequence[dict[str, object]]
    ) -> list[Row | None]:
        def look(reader: Reader) -> list[Row | None]:
            return [reader.one(statement, value) for value in values]

        return await self._database.read(look, long=True)
