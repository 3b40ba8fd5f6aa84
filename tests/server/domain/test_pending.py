"""Every cause of waiting has its own sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.demand import able_labels
from remote_server.domain.enrolment import newcomer
from remote_server.domain.model import Agent, Job, Queue
from remote_server.domain.pending import PendingReasons

NOW = 1000.0
DEFAULT = Queue("default", "", False, 0.0)


def job(state: JobState = JobState.QUEUED, not_before: float | None = None, **fields: Any) -> Job:
    spec = JobSpec.model_validate({"command": ["true"], **fields})
    return Job("j", spec, state, NOW, not_before=not_before)


def agents(*names: str) -> list[Agent]:
    return [newcomer(name, (), 0.0) for name in names]


def slot(name: str, taken: int = 0, capacity: int = 4, **fields: Any) -> AgentSlot:
    leases: dict[AttemptId, tuple[str, float | None]] = {
        AttemptId(f"{name}{n}", 1): ("default", None) for n in range(taken)
    }
    queues = frozenset(fields.pop("queues", ("default",)))
    return AgentSlot(
        name, queues, fields.pop("labels", {}), {"default": capacity}, leases, **fields
    )


def reason(one: Job, queues: list[Queue], known: list[Agent], *slots: AgentSlot) -> str | None:
    serving = {"default": [agent.name for agent in known if "default" in agent.queues]}
    names = {agent.name for agent in known}
    return PendingReasons(queues, serving, slots, names).reason(one, NOW)


CASES: list[tuple[str, Job, list[Queue], list[Agent], list[AgentSlot]]] = [
    ("no agent serves queue 'default'", job(), [DEFAULT], [], []),
    (
        "queue 'gone' does not exist any more; create it again or cancel the job",
        job(queue="gone"),
        [DEFAULT],
        agents("a"),
        [],
    ),
    (
        "queue 'default' is paused",
        job(),
        [Queue("default", "", True, 0.0)],
        agents("a"),
        [slot("a")],
    ),
    ("waits 8s before the next attempt", job(not_before=NOW + 8), [DEFAULT], [], []),
    (
        "no agent of queue 'default' is online (agents: a, b)",
        job(),
        [DEFAULT],
        agents("b", "a"),
        [slot("c", queues=("x",))],
    ),
    (
        "no online agent in queue 'default' has label gpu=true (agents: a, b)",
        job(labels={"gpu": "true", "os": "linux"}),
        [DEFAULT],
        agents("a", "b"),
        [slot("a", labels={"os": "linux"}), slot("b")],
    ),
    (
        "no online agent in queue 'default' has all labels gpu=true, os=linux (agents: a, b)",
        job(labels={"gpu": "true", "os": "linux"}),
        [DEFAULT],
        agents("a", "b"),
        [slot("a", labels={"os": "linux"}), slot("b", labels={"gpu": "true"})],
    ),
    (
        "no agent of queue 'default' has capacity for its jobs (agent: a)",
        job(),
        [DEFAULT],
        agents("a"),
        [slot("a", capacity=0)],
    ),
    (
        "no agent of queue 'default' takes jobs now: a: paused: disk change; b: not accepting jobs",
        job(),
        [DEFAULT],
        agents("a", "b"),
        [slot("a", eligible=False, reason="paused: disk change"), slot("b", eligible=False)],
    ),
    (
        "2 agents serve queue 'default', all full (8 jobs running)",
        job(),
        [DEFAULT],
        agents("a", "b"),
        [slot("a", 4), slot("b", 4)],
    ),
    (
        "agent a serves queue 'default', it is full (1 job running)",
        job(),
        [DEFAULT],
        agents("a"),
        [slot("a", 1, capacity=1)],
    ),
    (
        "2 agents serve queue 'default', but none has a share of 1 free (2 jobs running)",
        job(weight=1.0),
        [DEFAULT],
        agents("a", "b"),
        [slot("a", 1), slot("b", 1)],
    ),
    (
        "agent a serves queue 'default' and can take it: it is about to be assigned",
        job(),
        [DEFAULT],
        agents("a"),
        [slot("a")],
    ),
]


@pytest.mark.parametrize(("said", "one", "queues", "known", "slots"), CASES)
def test_what_it_waits_for(
    said: str, one: Job, queues: list[Queue], known: list[Agent], slots: list[AgentSlot]
) -> None:
    assert reason(one, queues, known, *slots) == said


def for_b(**fields: Any) -> Job:
    return job(agent="b", **fields)


NAMED: list[tuple[str, Job, list[Agent], list[AgentSlot]]] = [
    ("does not exist any more; register it again or cancel the job", for_b(), agents("a"), []),
    ("is offline", for_b(), agents("a", "b"), [slot("a")]),
    (
        "does not serve queue 'default'",
        for_b(),
        [replace(agents("b")[0], queues=("other",))],
        [slot("a"), slot("b", queues=("other",))],
    ),
    (
        "does not serve queue 'default'",
        for_b(),
        [replace(agents("b")[0], queues=("other",))],
        [],
    ),
    ("lacks the label gpu=1", for_b(labels={"gpu": "1"}), agents("b"), [slot("b")]),
    (
        "lacks the labels gpu=1, os=x",
        for_b(labels={"gpu": "1", "os": "x"}),
        agents("b"),
        [slot("b")],
    ),
    ("has no capacity for jobs of queue 'default'", for_b(), agents("b"), [slot("b", capacity=0)]),
    (
        "takes no jobs now: it is paused: lunch",
        for_b(),
        agents("a", "b"),
        [slot("a"), slot("b", eligible=False, reason="it is paused: lunch")],
    ),
    ("is full (4 jobs running)", for_b(), agents("a", "b"), [slot("a"), slot("b", 4)]),
    (
        "does not have a share of 1 free (1 job running)",
        for_b(weight=1.0),
        agents("b"),
        [slot("b", 1)],
    ),
    ("can take it: it is about to be assigned", for_b(), agents("b"), [slot("b")]),
]


@pytest.mark.parametrize(("said", "one", "known", "slots"), NAMED)
def test_what_a_job_for_one_agent_waits_for(
    said: str, one: Job, known: list[Agent], slots: list[AgentSlot]
) -> None:
    assert reason(one, [DEFAULT], known, *slots) == f"agent 'b' {said}"


def test_a_job_that_came_back_says_so() -> None:
    one = replace(job(), refusals=1, refusal="a refused it (disk): no room")
    said = reason(one, [DEFAULT], agents("a"), slot("a", 4)) or ""
    assert said.endswith("; it came back once, the last: a refused it (disk): no room")
    waiting = replace(one, refusals=9, not_before=NOW + 30)
    assert reason(waiting, [DEFAULT], agents("a"), slot("a")) == (
        "waits 30s before the next offer; it came back 9 times, the last: "
        "a refused it (disk): no room"
    )


def test_only_queued_jobs_wait() -> None:
    for state in set(JobState) - {JobState.QUEUED}:
        assert reason(job(state), [DEFAULT], []) is None


def test_long_lists_are_cut() -> None:
    known = agents(*(f"a{n}" for n in range(9)))
    said = reason(job(), [DEFAULT], known)
    assert said == "no agent of queue 'default' is online (agents: a0, a1, a2, a3, a4, …)"
    paused = [slot(f"a{n}", eligible=False, reason="r") for n in range(9)]
    assert (reason(job(), [DEFAULT], known, *paused) or "").endswith("a4: r; and 4 more")


def test_agents_are_counted_once_for_any_number_of_demands() -> None:
    looks = 0

    class Counted(AgentSlot):
        def class_of(self, queue: str) -> str:
            nonlocal looks
            looks += 1
            return super().class_of(queue)

    slots = [Counted(f"a{n}", frozenset({"default"}), {}, {"default": 1}) for n in range(10)]
    room = PendingReasons([DEFAULT], {"default": [slot.name for slot in slots]}, slots)
    room.reason(job(labels={"n": "0"}), NOW)
    first = looks
    for n in range(100):
        assert "has label" in (room.reason(job(labels={"n": str(n)}), NOW) or "")
    assert looks == first


def test_a_kind_that_no_agent_runs_is_named_with_its_cure() -> None:
    wanted = job(kind="container", image="x", command=[])
    bare, able = slot("a"), slot("b", labels=able_labels({}, ["container"]))
    said = reason(wanted, [DEFAULT], agents("a"), bare)
    assert said == (
        "no online agent in queue 'default' runs jobs of the kind container (agent: a); it takes "
        "docker or podman on its host when the agent starts, and [containers] engine not off"
    )
    assert "about to be assigned" in (reason(wanted, [DEFAULT], agents("a", "b"), bare, able) or "")
    only = job(kind="container", image="x", command=[], agent="a")
    assert (reason(only, [DEFAULT], agents("a"), bare) or "").startswith(
        "agent 'a' runs no jobs of the kind container; it takes docker or podman"
    )
