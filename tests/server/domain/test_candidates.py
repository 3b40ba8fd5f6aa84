"""Every agent is judged by every condition, and the nearest comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from remote_protocol.attempt_id import AttemptId
from remote_protocol.parts import Platform
from remote_protocol.spec import ContainerSpec
from remote_server.domain.candidates import (
    Candidate,
    Facts,
    Finding,
    Kind,
    Outlook,
    Requirement,
    facts_of_row,
    facts_of_slot,
    judge,
    nearest,
    outlook,
    requirements_of,
)
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.demand import able_labels, demand_of
from remote_server.domain.enrolment import newcomer
from remote_server.domain.model import Demand

H100 = Demand("gpu", (("cuda", "12"), ("gpu", "h100")), None)
PLAIN = Demand("gpu", (), None)


def agent(name: str, taken: int = 0, capacity: int = 2, **fields: Any) -> Facts:
    leases: dict[AttemptId, tuple[str, float | None]] = {
        AttemptId(f"{name}{n}", 1): ("gpu", None) for n in range(taken)
    }
    queues = frozenset(fields.pop("queues", ("gpu",)))
    labels = fields.pop("labels", {"gpu": "a40", "cuda": "12"})
    return facts_of_slot(AgentSlot(name, queues, labels, {"default": capacity}, leases, **fields))


def missed(candidate: Candidate, demand: Demand = H100) -> dict[str, str]:
    """What it has instead, by requirement."""
    return {
        requirement.wanted or requirement.kind.name: found.said
        for requirement, found in zip(requirements_of(demand), candidate.findings, strict=True)
        if found.met is False
    }


def test_all_failing_conditions_are_told_and_not_the_first_only() -> None:
    found = judge(
        H100,
        agent(
            "a",
            2,
            queues=("default",),
            labels={"cuda": "11"},
            eligible=False,
            reason="paused: disk",
        ),
    )
    assert missed(found) == {
        "gpu": "default",
        "cuda=12": "11",
        "gpu=h100": "none",
        "TAKES_JOBS": "paused: disk",
        "ROOM": "full",
    }
    assert found.misses == 5


def test_the_nearest_comes_first() -> None:
    fleet = [
        agent("gpu-4", labels={"gpu": "a40", "cuda": "11"}),
        agent("gpu-1", 2),
        agent("gpu-2"),
        agent("osl-07", queues=("default",), labels={"gpu": "h100", "cuda": "12"}),
    ]
    found = nearest(H100, fleet, 10)
    assert [(one.agent, one.misses) for one in found] == [
        ("osl-07", 1), ("gpu-2", 1), ("gpu-1", 2), ("gpu-4", 2),
    ]  # fmt: skip
    assert [one.agent for one in nearest(H100, fleet, 2)] == ["osl-07", "gpu-2"]


def test_what_ends_by_itself_is_nearer_than_what_somebody_has_to_do() -> None:
    fleet = [
        agent("labels", labels={}),
        agent("queue", queues=("x",)),
        agent("paused", eligible=False),
        agent("full", 2),
        facts_of_row(replace(newcomer("away", (), 0.0), queues=("gpu",), capacity={"default": 1})),
    ]
    demand = Demand("gpu", (("gpu", "a40"),), None)
    found = nearest(demand, fleet, 9)
    assert [one.agent for one in found] == ["full", "paused", "queue", "labels", "away"]
    assert [one.agent for one in nearest(PLAIN, fleet, 9)] == [
        "labels", "full", "paused", "away", "queue",
    ]  # fmt: skip


def test_of_an_agent_that_is_away_only_its_row_is_known() -> None:
    row = replace(newcomer("a", (), 0.0), queues=("gpu",), capacity={"default": 2})
    away = judge(PLAIN, facts_of_row(row))
    assert away.findings == (
        Finding(True, "gpu"),
        Finding(False, "offline"),
        Finding(None, "not known"),
        Finding(None, "not known"),
    )
    assert away.misses == 1
    paused = judge(PLAIN, facts_of_row(replace(row, paused=True, pause_comment="disk")))
    assert missed(paused, PLAIN) == {"ONLINE": "offline", "TAKES_JOBS": "paused: disk"}
    leaving = judge(PLAIN, facts_of_row(replace(row, draining=True)))
    assert missed(leaving, PLAIN) == {"ONLINE": "offline", "TAKES_JOBS": "draining"}


def test_a_job_for_one_agent_asks_for_it_first() -> None:
    demand = PLAIN._replace(agent="b")
    assert requirements_of(demand)[0] == (Kind.AGENT, "b")
    assert missed(judge(demand, agent("a")), demand) == {"b": "a"}
    assert judge(demand, agent("b")).misses == 0


def test_room_is_told_in_places_and_in_shares() -> None:
    def room(demand: Demand, facts: Facts) -> Finding:
        return judge(demand, facts).findings[-1]

    assert room(PLAIN, agent("a", 1)) == (True, "1 of 2 free")
    assert room(PLAIN, agent("a", capacity=0)) == (False, "no capacity for this queue")
    half = PLAIN._replace(weight=0.75)
    assert room(half, agent("a", 1)) == (False, "0.5 free")
    assert room(half, agent("a")) == (True, "1 free")
    assert room(half, agent("a", 2)) == (False, "full")


def test_an_agent_that_gave_the_job_back_says_so() -> None:
    slot = AgentSlot("a", frozenset({"gpu"}), {}, {"default": 1})
    found = judge(PLAIN, facts_of_slot(slot, avoided=True))
    assert missed(found, PLAIN) == {"TAKES_JOBS": "it gave this job back just now"}


def test_the_outlook_is_the_best_that_an_agent_offers() -> None:
    none = agent("none", queues=("other",))
    empty = agent("empty", capacity=0)
    paused = agent("paused", eligible=False, reason="paused")
    full = agent("full", 2)
    assert outlook(PLAIN, []) is Outlook.NEVER
    assert outlook(PLAIN, [none, empty]) is Outlook.NEVER
    assert outlook(H100, [full, paused]) is Outlook.NEVER, "none has the label"
    assert outlook(PLAIN, [none, paused]) is Outlook.BLOCKED
    assert outlook(PLAIN, [paused, full]) is Outlook.LATER
    assert outlook(PLAIN, [paused, full, agent("free")]) is Outlook.NOW
    away = facts_of_row(replace(newcomer("away", (), 0.0), queues=("gpu",)))
    assert outlook(PLAIN, [away]) is Outlook.BLOCKED


def test_a_kind_is_a_condition_like_any_other() -> None:
    spec = ContainerSpec(queue="gpu", image="x")
    demand = demand_of(spec)
    assert Requirement(Kind.RUNS, "container") in requirements_of(demand)
    assert missed(judge(demand, agent("bare")), demand) == {"container": "no"}
    able = agent("able", labels=able_labels({"gpu": "a40"}, ["container"]))
    assert not judge(demand, able).misses
    assert outlook(demand, [agent("bare")]) is Outlook.NEVER
    assert outlook(demand, [agent("bare"), able]) is Outlook.NOW
    away = replace(newcomer("away", ("gpu",), 0.0), platform=Platform(kinds=["container"]))
    assert not missed(judge(demand, facts_of_row(away)), demand).keys() & {"container"}
