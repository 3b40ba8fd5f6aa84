"""The overview: what the fleet does now, and what needs attention."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

from aiohttp import web

from remote_protocol.ids import Role
from remote_server.queries.overview import Overview
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.pages import charts
from remote_server.web.pages.commands import enrol, make_registration_token, server_url
from remote_server.web.pages.rendering import PageShown, go, may, render
from remote_server.web.route import Call, Route


class Chart(NamedTuple):
    """What the three charts show."""

    ended: charts.Bars
    failed: charts.Bars
    waiting: charts.Area
    now: tuple[float, float, int]
    """The last minute's ends and failures, and the jobs that wait now."""
    begins: float
    """When the charts begin (Unix seconds)."""
    counted: float | None
    """When the counting began, if that is later."""
    hours: str


def chart_of(seen: Overview) -> Chart:
    """The charts of an overview."""
    minutes, size = charts.minutes_shown(seen.at - seen.since)
    shown = list(seen.minutes)[-minutes:]
    ended = charts.grouped([minute.ended for minute in shown], size)
    failed = charts.grouped([minute.failed for minute in shown], size)
    # From now back: what waits at the end of a minute, without what came and went later; only as
    # far as it was counted.
    known = min(len(shown), 1 + int((seen.at - seen.since) / 60))
    later = list(
        accumulate((m.queued for m in reversed(shown[len(shown) - known + 1 :])), initial=0)
    )
    waiting = [float(max(0, seen.waiting - change)) for change in reversed(later)]
    begins = seen.at - 60 * len(shown)
    return Chart(
        charts.bars(ended),
        charts.bars(failed),
        charts.area(waiting, len(shown)),
        (ended[-1] if ended else 0.0, failed[-1] if failed else 0.0, seen.waiting),
        begins,
        seen.since if seen.since > begins else None,
        "hour" if minutes == 60 else f"{minutes // 60} hours",
    )


@Route("GET", "/", QUEUE_VIEWER, page=True, query=PageShown)
async def overview(call: Call) -> web.StreamResponse:
    """Agents, queues and jobs at a glance."""
    call.query(PageShown)
    if call.token.limited:
        return go(call, "jobs")
    seen = await call.services.overview.read()
    url = server_url(call.request)
    if not seen.agents.total:
        commands = {"token": make_registration_token(url), "enrol": enrol(url, "berlin-1")}
        return render(call, "first.html", commands=commands)
    return render(call, "overview.html", **_values(call, seen))


def _values(call: Call, seen: Overview) -> dict[str, Any]:
    agents = seen.agents
    admin = may(call, Role.ADMIN)
    return {
        "seen": seen,
        "chart": chart_of(seen),
        "notices": [notice for notice in seen.notices if admin or not notice.for_admins],
        "shares": {
            "agents": charts.shares(
                (("ok", agents.online), ("stale", agents.stale), ("off", agents.offline))
            ),
            "places": charts.shares(
                (("busy", seen.busy), ("held", seen.held), ("rest", seen.free))
            ),
            "waiting": charts.shares((("off", seen.stuck), ("busy", seen.waiting - seen.stuck))),
            "ended": charts.shares((("busy", seen.ended - seen.failed), ("off", seen.failed))),
        },
    }
