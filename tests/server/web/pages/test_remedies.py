"""What would let a waiting job start."""

from __future__ import annotations

import shlex
from typing import Any

from remote_protocol.states import JobState
from remote_server.domain.candidates import (
    Facts,
    facts_of_slot,
    nearest,
    requirements_of,
)
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.demand import demand_of
from remote_server.domain.model import Job
from remote_server.queries.candidates import Placement
from remote_server.queries.views import job_view
from remote_server.web.pages.remedies import Remedy, remedies
from tests.support.stored import NOW, spec

JOB = Job("J", spec(queue="gpu", labels={"gpu": "h100"}), JobState.QUEUED, NOW)


def agent(name: str, **fields: Any) -> Facts:
    queues = frozenset(fields.pop("queues", ("gpu",)))
    labels = fields.pop("labels", {"gpu": "h100"})
    return facts_of_slot(AgentSlot(name, queues, labels, {"default": 1}, **fields))


def ways(*agents: Facts, paused: bool = False) -> list[Remedy]:
    demand = demand_of(JOB.spec)
    found = nearest(demand, agents, 9)
    serving = sum("gpu" in one.queues for one in agents)
    fitting = sum(not one.misses for one in found)
    facts = {one.name: one for one in agents}
    placement = Placement(
        requirements_of(demand), found, serving, fitting, len(found), facts, dict.fromkeys(facts)
    )
    return remedies(job_view(JOB), placement, paused)


def test_an_agent_that_meets_all_else_may_serve_the_queue() -> None:
    osl, full = agent("osl", queues=("default", "ingest")), agent("full", labels={}, eligible=False)
    (way,) = ways(osl, full)
    assert way.title == "Let osl serve gpu."
    assert shlex.split(way.command.replace("\\\n", "")) == [
        *("remotectl", "agent", "set", "osl"),
        *("--queue", "default", "--queue", "ingest", "--queue", "gpu"),
    ]


def test_other_labels_are_offered_where_there_are_some() -> None:
    first, second = ways(agent("a", labels={"gpu": "a40"}), agent("b", queues=("x",)))
    assert {first.title, second.title} == {"Let b serve gpu.", "Ask for gpu=a40 instead."}
    (way,) = ways(agent("a", labels={}))
    assert way.title == "Ask for no gpu."
    assert way.command == "remotectl job cancel J\nremotectl run --detach --queue gpu -- true"


def test_what_is_paused_can_be_resumed() -> None:
    (way,) = ways(agent("a", eligible=False, reason="paused: disk"))
    assert (way.title, way.command) == ("Resume a.", "remotectl agent resume a")
    (way,) = ways(agent("a"), paused=True)
    assert way.command == "remotectl queue resume gpu"


def test_an_agent_that_is_away_is_brought_back() -> None:
    (way,) = ways(agent("a")._replace(slot=None))
    assert way.where == "on the host of a"


def test_a_queue_without_agents_asks_for_one() -> None:
    (way,) = ways()
    assert way.command == "remotectl agent set NAME --queue default --queue gpu"


def test_nothing_is_to_be_done_where_it_starts_by_itself() -> None:
    assert ways(agent("a"), agent("b", labels={})) == []
    full = agent("a")
    assert full.slot is not None
    full.slot.capacity["default"] = 1
    full.slot.leases["k"] = ("gpu", None)  # type: ignore[index]
    assert ways(full) == []
