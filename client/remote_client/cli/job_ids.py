"""Which job is meant: by any part of its id, by its name, or `@last`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from remote_client.cli.output import note
from remote_client.errors import UsageError

if TYPE_CHECKING:
    from remote_client.calls import Calls
    from remote_client.transport import Document

LAST: Final = "@last"
_WHOLE: Final = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
_PART: Final = re.compile("[0-9A-HJKMNP-TV-Z]{4,26}")
"""Characters of a ULID; fewer than four mean too many jobs."""
_LOOKED_AT: Final = 20


def find_job(calls: Calls, text: str, newest: bool) -> str:
    """See `Session.job_id`."""
    wanted = text.strip()
    if wanted == LAST:
        return _last(calls)
    part = wanted.upper()
    if _WHOLE.fullmatch(part):
        return part
    if not wanted or len(wanted) > 128:
        raise UsageError(f"{text!r} is neither a part of a job's id nor its name")
    found: list[str] = []
    if _PART.fullmatch(part):
        page = calls.jobs(id=part, limit=_LOOKED_AT)
        found = [job["id"] for job in page["items"]]
        # The end of an id is what lists show, and random; its beginning is the time.
        for fits in (str.endswith, str.startswith):
            best = [identity for identity in found if fits(identity, part)]
            if len(best) == 1:
                return best[0]
    if named := [job for job in _named(calls, wanted) if job.get("name") == wanted]:
        return _of_one_name(named, wanted, newest)
    if len(found) == 1:
        return found[0]
    if found:
        several = f"{len(found)} jobs' ids" if len(found) < _LOOKED_AT else "Many jobs' ids"
        raise UsageError(
            f"{several} have {text!r} in them; write more of it, best from the end: "
            f"{', '.join(found[:5])}"
        )
    if len(wanted) < 4:
        raise UsageError(
            f"No job has the name {text!r}, and it is too short for a job's id; write 4 "
            "characters or more of it; see: remotectl job list"
        )
    raise UsageError(f"No job has {text!r} in its id or as its name; see: remotectl job list")


def _last(calls: Calls) -> str:
    items = calls.jobs(submitted_by="me", limit=1)["items"]
    if not items:
        raise UsageError("@last: no job was submitted with this token")
    return str(items[0]["id"])


def _named(calls: Calls, name: str) -> list[Document]:
    items: list[Document] = calls.jobs(name=name, limit=_LOOKED_AT)["items"]
    return items


def _of_one_name(named: list[Document], name: str, newest: bool) -> str:
    ids = [str(job["id"]) for job in named]
    if len(ids) > 1:
        if not newest:
            raise UsageError(f"Several jobs have the name {name!r}; choose one: {', '.join(ids)}")
        note(f"{ids[0]} is the newest of several jobs with the name {name}")
    return ids[0]
