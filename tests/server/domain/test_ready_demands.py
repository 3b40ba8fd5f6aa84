"""Demands that nobody serves are looked at again when an agent changes that may."""

from __future__ import annotations

from random import Random

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.model import Demand
from remote_server.domain.ready_demands import ROOM, Lack, ReadyDemands
from remote_server.domain.scheduling import Fleet

PLAIN = Demand("default", (), None)
ON_A = Demand("default", (), None, "a")
GPU = Demand("default", (("arch", "arm"), ("gpu", "yes")), None)


def slot(name: str, labels: dict[str, str] | None = None, **fields: object) -> AgentSlot:
    given = {"queues": frozenset({"default"}), "capacity": {"default": 1}} | fields
    return AgentSlot(name, labels=labels or {}, **given)  # type: ignore[arg-type]


class Lacks:
    """What each demand lacks, as a test says; and which were looked at."""

    def __init__(self) -> None:
        self.said: dict[Demand, Lack | None] = {}
        self.asked: list[Demand] = []

    def __call__(self, demand: Demand) -> Lack | None:
        self.asked.append(demand)
        return self.said.get(demand)


@pytest.mark.parametrize(
    ("demand", "lack", "who", "again"),
    [
        (PLAIN, ROOM, slot("a"), True),
        (PLAIN, ROOM, slot("a", queues=frozenset({"other"})), False),
        (ON_A, "a", slot("a"), True),
        (ON_A, "a", slot("b"), False),
        (GPU, ("gpu", "yes"), slot("a", {"gpu": "yes"}), True),
        (GPU, ("gpu", "yes"), slot("a", {"gpu": "no", "arch": "arm"}), False),
    ],
)
def test_what_was_set_aside_is_looked_at_when_an_agent_has_what_it_lacks(
    demand: Demand, lack: Lack, who: AgentSlot, again: bool
) -> None:
    ready, lacks = ReadyDemands({demand: 2}), Lacks()
    lacks.said[demand] = lack
    assert ready.servable(lacks) == {}
    assert ready.servable(lacks) == {}
    assert lacks.asked == [demand], "once"
    lacks.said.clear()
    ready.reopen(who)
    assert ready.servable(lacks) == ({demand: 2} if again else {})
    ready.reopen_all()
    assert ready.servable(lacks) == {demand: 2}


def test_more_jobs_for_a_demand_set_aside_do_not_open_it() -> None:
    ready, lacks = ReadyDemands({PLAIN: 1}), Lacks()
    lacks.said[PLAIN] = ROOM
    assert not ready.any_servable(lacks)
    ready.add(PLAIN, 2)
    assert not ready.any_servable(lacks)
    assert len(lacks.asked) == 1
    assert dict(ready) == {PLAIN: 3}


def test_what_nobody_waits_for_is_forgotten() -> None:
    ready, lacks = ReadyDemands({}), Lacks()
    for demand, lack in ((PLAIN, ROOM), (ON_A, "a"), (GPU, ("gpu", "yes"))):
        lacks.said[demand] = lack
        ready.add(demand, 1)
    assert not ready.any_servable(lacks)
    for demand in lacks.said:
        ready.add(demand, -1)
    assert not ready
    assert (ready._open, ready._aside, ready._lacking) == ({}, {}, {})
    ready.reopen(slot("a", {"gpu": "yes"}))
    assert ready.servable(Lacks()) == {}


def test_demands_of_paused_queues_are_counted_and_not_looked_at() -> None:
    ready, lacks = ReadyDemands({PLAIN: 1}, frozenset({"default"})), Lacks()
    ready.add(ON_A, 1)
    ready.reopen_all()
    assert ready.servable(lacks) == {}
    assert (dict(ready), lacks.asked) == ({PLAIN: 1, ON_A: 1}, [])
    ready.add(ON_A, -1)
    assert dict(ready) == {PLAIN: 1}


@pytest.mark.parametrize("seed", range(40))
def test_exactly_what_the_fleet_serves_is_found(seed: int) -> None:
    """Agents and jobs come, change and go in any order; beside it every demand is looked at."""
    chance = Random(seed)
    fleet, ready = Fleet(), ReadyDemands({})
    queues, values = ("default", "other"), ("x", "y")

    def any_labels() -> dict[str, str]:
        return {key: chance.choice(values) for key in ("k", "l") if chance.random() < 0.5}

    def any_demand() -> Demand:
        labels = tuple(sorted(any_labels().items()))
        agent = chance.choice((None, None, "a", "b", "c"))
        return Demand(chance.choice(queues), labels, chance.choice((None, 0.5)), agent)

    for _ in range(300):
        name = chance.choice("abcd")
        match chance.randrange(5):
            case 0 | 1:
                ready.add(any_demand(), 1)
            case 2 if ready:
                ready.add(chance.choice(list(ready)), -1)
            case 3:
                fleet.drop(name)
            case _:
                served = frozenset(chance.sample(queues, chance.randint(1, 2)))
                agent = slot(name, any_labels(), queues=served, eligible=chance.random() < 0.8)
                if chance.random() < 0.5:
                    agent.leases = {AttemptId("held", 1): ("default", None)}
                fleet.put(agent)
                ready.reopen(agent)
        if chance.random() < 0.5:
            expected = {demand: n for demand, n in ready.items() if fleet.serves(demand)}
            assert ready.servable(fleet.lacks) == expected
            assert ready.any_servable(fleet.lacks) == bool(expected)
