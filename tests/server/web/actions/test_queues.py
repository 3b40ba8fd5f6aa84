"""Changing queues: what a role may."""

from __future__ import annotations

from tests.support.live_server import Live


async def test_an_operator_cannot_make_what_ran_vanish(live: Live) -> None:
    operator = await live.token_for("operator")
    for field, value in (("job_retention", 5), ("log_retention", 5), ("log_max_total", 1000)):
        refused = await live.ask("PATCH", "/queues/default", {field: value}, operator)
        refused.problem(403, "forbidden")
        assert (await live.ask("PATCH", "/queues/default", {field: value})).status == 200
