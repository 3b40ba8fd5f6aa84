"""What pages show of jobs whose kind an extension has added: words, facts and tables, which the
pages' own templates draw. Asks extensions, touches nothing else.

The extension's module of pages has `words(job)`, what the job runs as one line, and `shown(job)`, a
`Shown`. It is loaded with the first such job that somebody looks at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog

from remote_protocol import extensions
from remote_protocol.api.jobs import JobView

_log = structlog.get_logger("remote_server.web")


class Row(NamedTuple):
    """A row of a table."""

    cells: tuple[str, ...]
    state: str = ""
    """An icon before the first cell: `failed`, `warning` or `succeeded`."""


class Table(NamedTuple):
    """What a job's page shows of it as a table, between its timeline and its log."""

    id: str
    """Of the section, for links and tests."""
    title: str
    note: str = ""
    """A sentence beside the title."""
    columns: tuple[str, ...] = ()
    """Their titles; without any, each row is a name and what belongs to it."""
    rows: Sequence[Row] = ()


class Shown(NamedTuple):
    """What a job's page shows of it."""

    label: str
    """What its text is: `recipe`."""
    text: str
    """What it runs, as somebody wrote it."""
    facts: Sequence[tuple[str, str]] = ()
    """Names and values for its specification."""
    tables: Sequence[Table] = ()


def words(job: JobView) -> str:
    """What a job runs, as one line; its kind, where nobody knows more."""
    page = _page(job)
    try:
        return job.kind if page is None else str(page.words(job))
    except Exception:
        _note(job)
        return job.kind


def shown(job: JobView) -> Shown | None:
    """What its page shows of a job, if its extension knows more than all jobs have."""
    page = _page(job)
    try:
        found: Shown | None = None if page is None else page.shown(job)
    except Exception:
        _note(job)
        return None
    return found


def _note(job: JobView) -> None:
    """A page lists jobs of many users: one that its extension cannot show must not spoil it."""
    _log.exception("an extension cannot show a job", kind=job.kind, job=job.id)


def _page(job: JobView) -> Any:
    try:
        extension = extensions.find(job.kind)
        if extension is None or extension.page is None:
            return None
        return extensions.part(job.kind, extension.page)
    except extensions.BrokenExtension:
        # Whoever submits such a job is told; pages show what they know of it.
        return None
