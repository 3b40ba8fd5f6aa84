"""Which entries of the audit a list has: the API's and the page's take the same words."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import StringConstraints

from remote_protocol.ids import WITHOUT_NUL
from remote_server.store.audit import AuditFilter
from remote_server.web.http.time_bounds import TimeBound, parse_time_bound
from remote_server.web.route import Query

Word = Annotated[str, StringConstraints(min_length=1, max_length=256), WITHOUT_NUL]
_KINDS: Final = (
    *("agent", "audit", "call", "job", "log", "queue", "registration_token", "server", "session"),
    *("token", "webhook"),
)


class AuditQuery(Query):
    """The query of a list of the audit; all that is given must hold."""

    actor: Word | None = None
    """Name of an actor, or the id of its token."""
    action: Word | None = None
    """The action, or how it begins: `agent.` is everything that is done to agents."""
    subject: Word | None = None
    """Name or id of what it was done to, or with its kind: `agent:web-7`."""
    result: Word | None = None
    """`ok`, `refused`, or the code of a refusal."""
    since: TimeBound | None = None
    """Then or later: a time, or a duration before now."""
    until: TimeBound | None = None
    """Before then."""

    def filter(self, now: float) -> AuditFilter:
        """The filter, where it is `now`."""
        kind, colon, name = (self.subject or "").partition(":")
        if not colon or kind not in _KINDS:
            kind, name = "", self.subject or ""
        return AuditFilter(
            actor=self.actor,
            action=self.action,
            kind=kind or None,
            subject=name or None,
            result=self.result,
            since=None if self.since is None else parse_time_bound(self.since, now),
            until=None if self.until is None else parse_time_bound(self.until, now),
        )
