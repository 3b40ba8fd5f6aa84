"""Jobs: a list by any filter, and one job with all that happened to it and can be done with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field, model_validator

from remote_protocol.api.jobs import Cancellation, JobArtifacts, JobView
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason, JobState
from remote_server.queries.artifacts import artifacts_view
from remote_server.queries.candidates import placement
from remote_server.queries.jobs import job_views, whole_job
from remote_server.queries.views import timeline_entry
from remote_server.web.access import QUEUE_OPERATOR, QUEUE_VIEWER
from remote_server.web.actions import jobs as actions
from remote_server.web.actions.listing import JobsQuery, count_of
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages import kinds
from remote_server.web.pages.command_lines import job_lines, run_line
from remote_server.web.pages.job_words import cause
from remote_server.web.pages.log_source import log_shown
from remote_server.web.pages.remedies import remedies
from remote_server.web.pages.rendering import PageShown, as_faults, go, render
from remote_server.web.pages.timeline import picture
from remote_server.web.route import Call, Route

_PAGE: Final = 50
_MOST_EVENTS: Final = 400
"""Timeline entries that a page shows."""
_QUICK: Final = 0.25
"""Seconds: a list that took longer is a search, which is not repeated by itself."""
_MOST_QUEUES: Final = 200
_GROUPS: Final = (
    ("All", ()),
    ("Queued", (JobState.QUEUED,)),
    ("Running", (JobState.ASSIGNED, JobState.RUNNING)),
    ("Succeeded", (JobState.SUCCEEDED,)),
    ("Failed", (JobState.FAILED,)),
    ("Cancelled", (JobState.CANCELLED,)),
)
_CHIPS: Final = (
    *(("name", "name or id"), ("queue", "queue"), ("agent", "agent"), ("label", "label")),
    ("group", "group"),
    *(("since", "since"), ("until", "until"), ("submitted_by", "submitted by")),
    ("end_reason", "end reason"),
)


class JobsShown(PageShown, JobsQuery):
    """The query of the page: as the API's; what is empty is not given."""

    limit: int = Field(default=_PAGE, ge=1, le=200)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: dict[str, Any]) -> dict[str, Any]:
        found = {
            name: [part for part in value if part] if isinstance(value, list) else value
            for name, value in values.items()
        }
        return {name: value for name, value in found.items() if value not in ("", [])}


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter that holds, and the address without it."""

    words: str
    without: str


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs in some states: a link, and how many there are; None: not counted."""

    words: str
    address: str
    chosen: bool
    count: int | None


class JobShown(PageShown):
    """The query of a job's page."""

    attempt: int | None = Field(default=None, ge=1, le=1 << 30)
    """The one whose log is shown; the last one by default."""
    stream: str = Field(default="", max_length=16)
    find: str = Field(default="", max_length=256)


@Route("GET", "/jobs", QUEUE_VIEWER, page=True, query=JobsShown)
async def all_jobs(call: Call) -> web.StreamResponse:
    """Jobs, the newest first."""
    given = {name: call.request.query.getall(name) for name in call.request.query}
    said = {name: [part for part in parts if part] for name, parts in given.items()}
    if said != given and "done" not in given:
        # A form sends its empty fields, too: addresses that people hand on are short.
        cursor = said.get("cursor", [])
        return go(call, "jobs" + _address(said, cursor=cursor))
    given = {name: parts for name, parts in said.items() if parts and name != "done"}
    store = call.services.store
    queues = [queue.name for queue in await store.queues()]
    values: dict[str, Any] = {
        "given": {name: parts[-1] for name, parts in given.items()},
        "chips": _chips(given),
        "queues": queues[:_MOST_QUEUES],
        "reasons": list(EndReason),
        "newest": "jobs" + _address(given, cursor=[]),
    }
    try:
        query = call.query(JobsShown)
    except ApiProblem as problem:
        values |= {"jobs": [], "older": None, "faults": as_faults(problem), "groups": []}
        values["live"] = False
        return render(call, "jobs.html", status=problem.status, **values)
    wanted = _by_id(query).filter(call.token.id, time.time())
    begun = time.perf_counter()
    jobs, following = await store.jobs(wanted, limit=query.limit, cursor=query.cursor)
    values |= {
        "jobs": await job_views(call.services.sources, jobs, values_shown=False),
        "older": "jobs" + _address(given, cursor=[following]) if following else None,
        "groups": await _groups(call, query, given),
        "faults": {},
        "live": time.perf_counter() - begun < _QUICK,
    }
    return render(call, "jobs.html", **values)


def _by_id(query: JobsShown) -> JobsShown:
    """A name that looks like an id is looked for among the ids: they begin with 01 until 2039."""
    name = (query.name or "").strip().upper()
    if len(name) >= 6 and name.startswith("01") and name.isalnum() and not query.id:
        return query.model_copy(update={"name": None, "id": name[:26]})
    return query


def _address(given: dict[str, list[str]], **change: list[str]) -> str:
    """The query of this page, changed: other filters begin at the newest job again."""
    kept = {**given, "cursor": [], **change}
    pairs = [(name, part) for name, parts in kept.items() for part in parts]
    return "?" + urlencode(pairs) if pairs else ""


def _chips(given: dict[str, list[str]]) -> list[Chip]:
    chips = []
    for name, words in _CHIPS:
        for part in given.get(name, ()):
            rest = [other for other in given[name] if other != part]
            chips.append(Chip(f"{words} {part}", "jobs" + _address(given, **{name: rest})))
    return chips


async def _groups(call: Call, query: JobsShown, given: dict[str, list[str]]) -> list[Group]:
    """All states with their counts, where they are known without a search."""
    counts = await call.services.store.counts()
    others = query.model_fields_set - {"state", "queue", "cursor", "limit", "done"}
    groups = []
    for words, states in _GROUPS:
        count = count_of(counts, query.queue, states)
        address = "jobs" + _address(given, state=[",".join(states)] if states else [])
        chosen = frozenset(query.state) == frozenset(states)
        groups.append(Group(words, address, chosen, None if others else count))
    return groups


@Route("GET", "/jobs/{id}", QUEUE_VIEWER, page=True, query=JobShown)
async def one_job(call: Call) -> web.StreamResponse:
    """One job: why it is as it is, its timeline, its log, its facts."""
    query = call.query(JobShown)
    services, now = call.services, time.time()
    found = await services.store.job(call.path("id"))
    job = await whole_job(services.sources, found, values_shown=call.sees_values, role=call.role)
    events = await services.store.timeline(found.id, limit=_MOST_EVENTS + 1)
    entries = [timeline_entry(event) for event in events[:_MOST_EVENTS]]
    silence = None
    if job.agent is not None and not job.state.terminal:
        silence = services.sources.agents.status(job.agent).silence
    known = [one.number for one in job.attempts]
    attempt = query.attempt if query.attempt in known else job.attempt
    return render(
        call,
        "job.html",
        job=job,
        attempt=attempt,
        log=await log_shown(call, job.id, attempt or None),
        cause=cause(job, now),
        picture=picture(job, entries, now, silence),
        entries=entries,
        more_entries=len(events) > _MOST_EVENTS,
        lines=job_lines(job.id, job.attempt),
        run_line=run_line(found.spec, default_queue=await call.services.store.default_queue()),
        of_kind=kinds.shown(job),
        artifacts=await _artifacts(call, job),
        **await _waiting(call, job),
    )


async def _artifacts(call: Call, job: JobView) -> JobArtifacts | None:
    """The files that a job has given back; None for one that gave none."""
    if not job.state.terminal:
        return None
    found = await call.services.store.artifacts_of(AttemptId(job.id, job.attempt))
    return artifacts_view(job.attempt, found) if found.expected or found.warning else None


async def _waiting(call: Call, job: JobView) -> dict[str, Any]:
    """What a page shows of a job that waits."""
    services = call.services
    if job.state is not JobState.QUEUED:
        return {"placement": None, "remedies": []}
    found = await placement(services.sources, await services.store.job(job.id))
    paused = any(one.paused for one in await services.store.queues() if one.name == job.queue)
    ways = [] if found is None else remedies(job, found, paused)
    return {"placement": found, "remedies": ways}


@Route(
    "POST",
    "/jobs/{id}/cancel",
    QUEUE_OPERATOR,
    page=True,
    body=Cancellation,
    action="job.cancel",
)
async def cancel(call: Call) -> web.StreamResponse:
    """Cancel a job."""
    job = await actions.cancel(call, call.path("id"), call.form(Cancellation).reason)
    return go(call, f"jobs/{job.id}", done="cancelled")


@Route("POST", "/jobs/{id}/retry", QUEUE_OPERATOR, page=True, action="job.retry")
async def retry(call: Call) -> web.StreamResponse:
    """Submit an ended job again, as a new one."""
    old = await actions.repeatable(call, call.path("id"))
    spec, detail = actions.again(old)
    job = await actions.submit(call, spec, time.time(), detail, repeated=True)
    return go(call, f"jobs/{job.id}", done="retried")
