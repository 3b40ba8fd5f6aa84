"""The audit: who did what to what, from where, with what result. For admins."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from aiohttp import web
from pydantic import Field, model_validator

from remote_protocol.ids import is_ulid
from remote_server.domain.audit import OK, Recorded
from remote_server.queries.audit import audit_json, detail_of
from remote_server.web.access import ADMIN
from remote_server.web.actions.audit import AuditQuery
from remote_server.web.http.frames import NDJSON, Stream
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages.rendering import HEADERS, PageShown, as_faults, go, render
from remote_server.web.pages.words import iso
from remote_server.web.route import Call, Route

CSV: Final = "text/csv"
_PAGE: Final = 50
_QUICK: Final = 0.25
"""Seconds: a list that took longer is a search, which is not repeated by itself."""
_EXPORTED: Final = 500
"""Entries read at a time."""
_LONGEST: Final = 80
"""Characters of one value of a detail."""
_LONGEST_NAME: Final = 40
_GROUPS: Final = (
    ("All", ""),
    ("Jobs", "job."),
    ("Agents", "agent."),
    ("Queues", "queue."),
    ("Tokens", "token."),
    ("Sign-ins", "session."),
)
_LINKED: Final = {"agent": "agents", "group": "groups", "job": "jobs", "queue": "queues"}
_NAMES: Final = ("actor", "action", "subject", "result", "since", "until")
_WORDS: Final = {"until": "before"}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would carry out."""


class AuditShown(PageShown, AuditQuery):
    """The query of the page: as the API's; what is empty is not given."""

    cursor: int | None = Field(default=None, ge=1, lt=1 << 62)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value != ""}


class AuditExport(AuditQuery):
    """The query of the export."""

    format: Literal["ndjson", "csv"] = "ndjson"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as the list draws it."""

    entry: Recorded

    @property
    def refused(self) -> bool:
        """Whether it tells of something that was not done."""
        return self.entry.result != OK

    @property
    def who(self) -> str:
        """The actor in words."""
        kind, name = self.entry.actor_kind, self.entry.actor
        if kind == "unknown":
            return name or "unknown"
        if kind == "server" or (kind == "api" and name):
            return name or "server"
        return f"{kind.replace('_', ' ')} {name}".strip()

    @property
    def link(self) -> str:
        """The page of its subject; empty where there is none."""
        folder, name = _LINKED.get(self.entry.kind), self.entry.subject
        return f"{folder}/{quote(name, safe='')}" if folder and name else ""

    @property
    def what(self) -> str:
        """Its subject, short: of an id as much as other lists show."""
        name = self.entry.subject or self.entry.kind
        if is_ulid(name):
            return f"{name[:10]}…"
        return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"

    @property
    def detail(self) -> str:
        """What else is known of it, in one line."""
        return ", ".join(
            f"{name.replace('_', ' ')} {_said(value)}"
            for name, value in detail_of(self.entry).items()
        )


@Route("GET", "/audit", ADMIN, page=True, query=AuditShown)
async def audit(call: Call) -> web.StreamResponse:
    """The newest entries of the audit, by any filter."""
    asked = call.request.query
    given = {name: asked[name] for name in _NAMES if asked.get(name)}
    if "" in asked.values():
        # A form sends its empty fields, too: addresses that people hand on are short.
        return go(call, _address(given))
    values: dict[str, Any] = {
        "given": given,
        "groups": [(words, _address(given, action=start), start) for words, start in _GROUPS],
        "chips": [
            (f"{_WORDS.get(name, name)} {given[name]}", _without(given, name)) for name in given
        ],
        "newest": _address(given),
        "exports": {
            kind: _address(given, "audit/export", format=kind) for kind in ("ndjson", "csv")
        },
        "rows": [],
        "older": None,
        "paged": False,
        "live": False,
        "faults": {},
    }
    try:
        query = call.query(AuditShown)
    except ApiProblem as problem:
        values["faults"] = as_faults(problem)
        return render(call, "audit.html", status=problem.status, **values)
    begun, store = time.perf_counter(), call.services.store
    found, following = await store.audit_page(
        query.filter(time.time()), limit=_PAGE, cursor=query.cursor
    )
    values |= {
        "rows": [AuditRow(row) for row in found],
        "older": None if following is None else _address(given, cursor=str(following)),
        "paged": query.cursor is not None,
        "live": query.cursor is None and time.perf_counter() - begun < _QUICK,
        "end": await store.audit_end(),
    }
    return render(call, "audit.html", **values)


@Route(
    "GET",
    "/audit/export",
    ADMIN,
    page=True,
    query=AuditExport,
    media=(NDJSON, CSV),
    lasting=True,
)
async def export(call: Call) -> web.StreamResponse:
    """All entries that a filter finds, the oldest first, as a file."""
    query = call.query(AuditExport)
    store, wanted = call.services.store, query.filter(time.time())
    turn = call.services.streams.turns.of(call.token.id)
    media, text = (CSV, _csv) if query.format == "csv" else (NDJSON, _ndjson)
    kind = f"{media}; charset=utf-8"
    name = f'attachment; filename="audit.{query.format}"'
    stream = Stream(call, media, {**HEADERS, "Content-Type": kind, "Content-Disposition": name})
    # What is written from now on, this download among it, is left to the next one.
    after, last = 0, (await store.audit_end()).number
    await stream.open()
    if media == CSV:
        await stream.write(f"{','.join(Recorded._fields)}\r\n".encode())
    while after < last:
        async with turn:
            before = after
            rows, after = await store.audit_after(after, wanted, limit=_EXPORTED)
            data = text([row for row in rows if row.number <= last]).encode()
            await asyncio.sleep(0)
        if after == before:
            break
        await stream.write(data)
    return await stream.close()


def _address(given: dict[str, str], path: str = "audit", **change: str) -> str:
    """The address of this page, changed; from the newest entry on, unless `cursor` is in it."""
    kept = {name: value for name, value in {**given, **change}.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def _without(given: dict[str, str], name: str) -> str:
    return _address({other: value for other, value in given.items() if other != name})


def _ndjson(rows: Sequence[Recorded]) -> str:
    return "".join(f"{audit_json(row)}\n" for row in rows)


def _csv(rows: Sequence[Recorded]) -> str:
    """Lines of RFC 4180, whose cells no spreadsheet takes for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow(
            f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
            for cell in (row.number, iso(row.at), *row[2:])
        )
    return text.getvalue()


def _said(value: object) -> str:
    if isinstance(value, dict):
        if set(value) == {"old", "new"}:
            return f"{_said(value['old'])} → {_said(value['new'])}"
        text = " ".join(f"{name}={_said(part)}" for name, part in value.items())
    elif isinstance(value, list):
        text = " ".join(_said(part) for part in value)
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = "" if value is None else str(value)
    text = text or "none"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
