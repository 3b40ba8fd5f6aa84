"""Which jobs a list has, as a query says it: the API's list and the page's take the same words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Final

from pydantic import Field, StringConstraints, field_validator

from remote_protocol.ids import WITHOUT_NUL, JobId, Name, is_ulid
from remote_protocol.limits import MAX_NAME
from remote_protocol.states import EndReason, JobState
from remote_server.store import JobFilter, Store
from remote_server.web.http.paging import FOREIGN
from remote_server.web.http.time_bounds import TimeBound, parse_time_bound
from remote_server.web.route import PageQuery

MOST_COUNTED: Final = 10_000
"""Jobs that are counted: this many, or more."""
_COUNTED_BY: Final = frozenset({"state", "queue", "cursor", "limit"})
_MOST_LISTED: Final = 64
"""Values of one parameter."""


class JobsQuery(PageQuery):
    """The query of a list of jobs; all that is given must hold."""

    whole = frozenset({"label", "annotation"})
    state: list[JobState] = Field(default_factory=list, max_length=_MOST_LISTED)
    """Any of these."""
    queue: Name | None = None
    agent: Name | None = None
    name: (
        Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME), WITHOUT_NUL] | None
    ) = None
    """A part of the name; upper and lower case are the same."""
    id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,26}$")] | None = None
    """A part of the id: its start, its end or anything between."""
    group: JobId | None = None
    """Member of this group."""
    label: list[
        Annotated[str, StringConstraints(min_length=1, max_length=2 * MAX_NAME + 1), WITHOUT_NUL]
    ] = Field(default_factory=list, max_length=_MOST_LISTED)
    """`KEY=VALUE`, or `KEY` with any value, that the job demands; may be repeated."""
    annotation: list[
        Annotated[str, StringConstraints(min_length=1, max_length=2 * MAX_NAME + 1), WITHOUT_NUL]
    ] = Field(default_factory=list, max_length=_MOST_LISTED)
    """The same of its annotations."""
    since: TimeBound | None = None
    """Submitted then or later: a time, or a duration before now."""
    until: TimeBound | None = None
    """Submitted before."""
    submitted_by: Name | None = None
    """Name or id of an API token; `me` is the caller's."""
    end_reason: list[EndReason] = Field(default_factory=list, max_length=_MOST_LISTED)
    """Ended for any of these."""

    @field_validator("cursor")
    @classmethod
    def _made_here(cls, cursor: str | None) -> str | None:
        if cursor is not None and not is_ulid(cursor):
            raise ValueError(FOREIGN)
        return cursor

    def filter(self, me: str, now: float) -> JobFilter:
        """The filter for the bearer of the token `me`."""
        return JobFilter(
            states=frozenset(self.state),
            queue=self.queue,
            agent=self.agent,
            group=self.group,
            name=self.name,
            part=self.id and self.id.upper(),
            labels=_pairs(self.label),
            annotations=_pairs(self.annotation),
            since=None if self.since is None else parse_time_bound(self.since, now),
            until=None if self.until is None else parse_time_bound(self.until, now),
            submitter=me if self.submitted_by == "me" else self.submitted_by,
            reasons=frozenset(self.end_reason),
        )


def _pairs(texts: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
    parts = (text.partition("=") for text in texts)
    return tuple((key, value if equals else None) for key, equals, value in parts)


async def counted(store: Store, query: JobsQuery) -> int | None:
    """How many jobs a query has in all, MOST_COUNTED at the most; None where it would take a
    search."""
    if query.model_fields_set - _COUNTED_BY:
        return None
    return count_of(await store.counts(), query.queue, query.state)


def count_of(
    counts: Mapping[tuple[str, JobState], int], queue: str | None, states: Collection[JobState]
) -> int:
    """The jobs of a queue (None: of all) in some states (none: in any); MOST_COUNTED at most."""
    found = sum(
        number
        for (name, state), number in counts.items()
        if state in (states or JobState) and queue in (None, name)
    )
    return min(found, MOST_COUNTED)
