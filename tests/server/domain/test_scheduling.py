"""Big jobs neither starve nor are starved, work spreads."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.capacity import AgentSlot, shares_of
from remote_server.domain.model import Demand, Waiting
from remote_server.domain.scheduling import Fleet

QUEUE = "default"


def slot(name: str = "a", capacity: int | dict[str, int] = 4, **fields: object) -> AgentSlot:
    classes = {"default": capacity} if isinstance(capacity, int) else capacity
    queues = frozenset(fields.pop("queues", (QUEUE,)))  # type: ignore[call-overload]
    labels = fields.pop("labels", {})
    return AgentSlot(name, queues, labels, classes, **fields)  # type: ignore[arg-type]


def job(
    number: int, weight: float | None = None, queue: str = QUEUE, priority: int = 0, **labels: str
) -> Waiting:
    demand = Demand(queue, tuple(sorted(labels.items())), weight)
    return Waiting(f"{number:04}", priority, demand)


def fleet(*slots: AgentSlot) -> Fleet:
    made = Fleet()
    for one in slots:
        made.put(one)
    return made


def given_to(pairs: list[tuple[str, str]]) -> list[str]:
    return [agent for _, agent in pairs]


def test_no_capacity_means_no_jobs() -> None:
    assert fleet(slot(capacity=0)).match([job(1)]) == []
    assert fleet(slot(capacity={"monitors": 2})).match([job(1)]) == []
    lowered = slot(capacity=2)
    lowered.leases = {AttemptId(str(n), 1): (QUEUE, None) for n in range(5)}
    assert shares_of(lowered)["default"].full
    assert fleet(lowered).match([job(1)]) == []


def test_classes_of_capacity_are_apart() -> None:
    agent = slot(capacity={"default": 4, "monitors": 10}, queues=("default", "monitors", "x"))
    waiting = [job(n) for n in range(6)] + [job(10 + n, queue="monitors") for n in range(12)]
    waiting += [job(30, queue="x")]
    pairs = fleet(agent).match(waiting)
    assert len([p for p in pairs if p[0] < "0010"]) == 4
    assert len([p for p in pairs if "0010" <= p[0] < "0030"]) == 10
    assert len([p for p in pairs if p[0] == "0030"]) == 0  # shares `default`, which is full


def test_work_spreads_evenly() -> None:
    pairs = fleet(slot("a"), slot("b"), slot("c")).match([job(n) for n in range(6)])
    assert sorted(given_to(pairs)) == ["a", "a", "b", "b", "c", "c"]
    busy = slot("a")
    busy.leases = {AttemptId("x", 1): (QUEUE, None), AttemptId("y", 1): (QUEUE, None)}
    assert given_to(fleet(busy, slot("b")).match([job(1), job(2)])) == ["b", "b"]


def test_equals_take_turns() -> None:
    made = fleet(slot("a"), slot("b"), slot("c"))
    turns = []
    for number in range(6):
        ((_, agent),) = made.match([job(number)])
        turns.append(agent)
        made.put(slot(agent))  # the job has ended already
    assert sorted(turns[:3]) == ["a", "b", "c"]
    assert turns[3:] == turns[:3]


def test_only_eligible_agents_with_all_labels_get_jobs() -> None:
    made = fleet(
        slot("paused", eligible=False),
        slot("half", labels={"gpu": "true"}),
        slot("other", labels={"gpu": "true", "zone": "b"}),
        slot("right", labels={"gpu": "true", "zone": "a", "more": "1"}),
        slot("elsewhere", labels={"gpu": "true", "zone": "a"}, queues=("x",)),
    )
    assert given_to(made.match([job(1, gpu="true", zone="a")])) == ["right"]
    assert made.match([job(1, gpu="false")]) == []
    assert made.match([job(1, queue="nowhere")]) == []


def test_a_big_job_is_not_starved() -> None:
    a, b = slot("a"), slot("b")
    a.leases = {AttemptId("1", 1): (QUEUE, None), AttemptId("2", 1): (QUEUE, None)}
    b.leases = {AttemptId("3", 1): (QUEUE, None)}
    made = fleet(a, b)
    pairs = made.match([job(0, weight=1.0), *[job(n) for n in range(1, 9)]])
    # b is the emptier one and is kept free; a is filled.
    assert given_to(pairs) == ["a", "a"]
    b.leases.clear()
    made.put(b)
    assert made.match([job(0, weight=1.0), job(5)]) == [("0000", "b")]


def test_a_big_job_does_not_starve_others() -> None:
    made = fleet(slot("a"))
    # Older small jobs go first, and an agent that could never take it is not kept free.
    assert len(made.match([job(1), job(2), job(3, weight=1.0)])) == 2
    other = fleet(slot("a"), slot("b", labels={"gpu": "1"}))
    other.match([job(0)])
    pairs = other.match([job(1, weight=1.0, zone="x"), *[job(n) for n in range(2, 20)]])
    assert len(pairs) == 7


def test_a_big_job_is_reached_while_small_ones_keep_coming() -> None:
    agent = slot("a", capacity=4)
    made = fleet(agent)
    number = 100
    held: list[tuple[AttemptId, int]] = []
    for round_ in range(60):
        for key, ends in list(held):
            if ends <= round_:
                held.remove((key, ends))
                del agent.leases[key]
        made.put(agent)
        small = [job(number + n) for n in range(4)]
        waiting = small if round_ < 5 else [job(50, weight=1.0), *small]
        for taken, _ in made.match(waiting):
            if taken == "0050":
                assert agent.leases == {}
                return
            number += 1
            key = AttemptId(taken, 1)
            agent.leases[key] = (QUEUE, None)
            held.append((key, round_ + 1 + number % 3))
    pytest.fail("the big job starved")


def test_agents_come_and_go() -> None:
    made = fleet(slot("a"), slot("b", queues=("x", QUEUE)))
    assert "a" in made and made.names() == ["a", "b"]
    made.drop("a")
    made.drop("a")
    assert given_to(made.match([job(1)])) == ["b"]
    assert made.room("x") == 3
    made.drop("b")
    assert made.room("x") == made.room(QUEUE) == 0
    assert made.match([job(1)]) == []
    made.put(slot("a"))
    assert made.room(QUEUE) == 4


def test_an_agent_is_found_by_the_labels_and_queues_that_it_has_now() -> None:
    made = fleet(slot("a", labels={"gpu": "a"}))
    made.put(slot("a", labels={"gpu": "b"}))
    assert given_to(made.match([job(1, gpu="a")])) == []
    assert given_to(made.match([job(2, gpu="b")])) == ["a"]
    made.put(slot("a", labels={"gpu": "b"}, queues=("x",)))
    assert given_to(made.match([job(3), job(4, queue="x")])) == ["a"]


def test_a_slot_that_changes_before_it_is_said_does_no_harm() -> None:
    agent = slot("a", queues=("x", "y"))
    made = fleet(agent)
    agent.queues = frozenset({"z"})
    agent.capacity = {"other": 1}
    assert given_to(made.match([job(1, queue="x")])) in ([], ["a"])
    made.put(agent)
    assert made.room("x") == 0
    made.drop("a")
    assert made._serving == {}


def test_ten_thousand_agents_are_not_looked_at_one_by_one() -> None:
    made = fleet(*(slot(f"agent{n:05}", capacity=2) for n in range(10_000)))
    begun = time.process_time()
    for number in range(500):
        assert made.match([job(number)])
    assert (time.process_time() - begun) / 500 < 0.001


_SLOTS = st.lists(
    st.builds(
        lambda capacity, queues, labels, eligible: (capacity, queues, labels, eligible),
        st.dictionaries(st.sampled_from(["default", "q1"]), st.integers(0, 4), max_size=2),
        st.sets(st.sampled_from(["default", "q1", "q2"]), min_size=1),
        st.dictionaries(st.sampled_from(["l"]), st.sampled_from(["1", "2"])),
        st.booleans(),
    ),
    max_size=5,
)
_JOBS = st.lists(
    st.tuples(
        st.sampled_from(["default", "q1", "q2"]),
        st.one_of(st.none(), st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1.0])),
        st.one_of(st.none(), st.sampled_from(["1", "2"])),
    ),
    max_size=25,
)


@given(agents=_SLOTS, wanted=_JOBS)
def test_no_agent_is_ever_overfilled_and_no_place_is_wasted(
    agents: list[tuple[dict[str, int], set[str], dict[str, str], bool]],
    wanted: list[tuple[str, float | None, str | None]],
) -> None:
    slots = {
        f"a{n}": AgentSlot(f"a{n}", frozenset(queues), labels, capacity, {}, eligible)
        for n, (capacity, queues, labels, eligible) in enumerate(agents)
    }
    made = fleet(*slots.values())
    waiting = [
        Waiting(f"{n:04}", 0, Demand(queue, () if label is None else (("l", label),), weight))
        for n, (queue, weight, label) in enumerate(wanted)
    ]
    given_ = dict(made.match(waiting))
    for one in waiting:
        if one.job not in given_:
            continue
        agent = slots[given_[one.job]]
        assert agent.eligible and agent.could_run(one.demand)
        agent.leases[AttemptId(one.job, 1)] = (one.demand.queue, one.demand.weight)
    for agent in slots.values():
        assert all(share.used <= 1 or share.capacity == 0 for share in shares_of(agent).values())
    # The first job that was passed over really fits nowhere now.
    for one in waiting:
        if one.job in given_:
            continue
        fits = [
            a
            for a in slots.values()
            if a.eligible
            and a.could_run(one.demand)
            and shares_of(a)[a.class_of(one.demand.queue)].fits(one.demand.weight)
        ]
        assert fits == []
        break


def test_a_job_for_one_agent_goes_nowhere_else() -> None:
    asked = Waiting("1", 0, Demand(QUEUE, (), None, "b"))
    two = fleet(slot("a"), slot("b"))
    assert two.match([asked]) == [("1", "b")]
    busy = {AttemptId(f"j{n}", 1): (QUEUE, None) for n in range(4)}
    assert fleet(slot("a"), slot("b", leases=busy)).match([asked]) == []
    assert fleet(slot("a")).match([asked]) == []
    assert fleet(slot("a"), slot("b", eligible=False)).match([asked]) == []
    assert fleet(slot("a"), slot("b", queues=("other",))).match([asked]) == []
    assert not slot("a").could_run(asked.demand)
    assert slot("b").could_run(asked.demand)
    picky = asked.demand._replace(labels=(("gpu", "1"),))
    assert fleet(slot("b")).match([Waiting("1", 0, picky)]) == []
    assert fleet(slot("b", labels={"gpu": "1"})).match([Waiting("1", 0, picky)]) == [("1", "b")]


def test_a_job_for_one_busy_agent_holds_up_nobody() -> None:
    busy = {AttemptId(f"j{n}", 1): (QUEUE, None) for n in range(4)}
    two = fleet(slot("a"), slot("b", leases=busy))
    asked = Waiting("1", 9, Demand(QUEUE, (), None, "b"))
    others = [job(n) for n in range(2, 5)]
    assert given_to(two.match([asked, *others])) == ["a", "a", "a"]


def test_a_job_avoids_who_gave_it_back_and_holds_up_nobody() -> None:
    two = fleet(slot("a"), slot("b"))
    avoided = {"0001": {"a"}, "0002": {"a", "b"}}
    pairs = two.match([job(n) for n in range(1, 5)], lambda name: avoided.get(name, ()))
    assert dict(pairs)["0001"] == "b"
    assert sorted(dict(pairs)) == ["0001", "0003", "0004"]
    rare = fleet(slot("a", labels={"l": "1"}), slot("b", labels={"l": "1"}))
    assert rare.match([job(1, l="1")], lambda name: {"a"}) == [("0001", "b")]
    named = Waiting("1", 0, Demand(QUEUE, (), None, "b"))
    assert fleet(slot("a"), slot("b")).match([named], lambda name: {"b"}) == []


@pytest.mark.parametrize(
    ("demand", "lack"),
    [
        (Demand(QUEUE, (), None), ""),
        (Demand(QUEUE, (), None, "a"), "a"),
        (Demand(QUEUE, (("zone", "x"),), None, "z"), "z"),
        (Demand(QUEUE, (("os", "linux"), ("zone", "x")), None), ("zone", "x")),
        (Demand(QUEUE, (("os", "linux"), ("zone", "none")), None), ("zone", "none")),
        (Demand("other", (), None), ""),
    ],
)
def test_what_is_lacking_is_what_the_fewest_agents_have(demand: Demand, lack: object) -> None:
    linux = {"os": "linux"}
    made = fleet(
        slot("a", labels=linux | {"zone": "x"}, eligible=False), slot("b", capacity=0, labels=linux)
    )
    assert made.lacks(demand) == lack
    assert fleet(slot(labels=linux)).lacks(Demand(QUEUE, (("os", "linux"),), None)) is None
