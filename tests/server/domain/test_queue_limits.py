"""What is shown of agents that serve other queues, too."""

from __future__ import annotations

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.capacity import AgentSlot, shares_of
from remote_server.domain.model import Agent
from remote_server.domain.queue_limits import UNNAMED, QueueLimits

LIMITS = QueueLimits(frozenset({"a", "b"}))


def test_an_agent_has_only_the_queues_and_classes() -> None:
    capacity = {"a": 1, "c": 2, "default": 3}
    agent = Agent(
        "x",
        ("a", "c"),
        {"site": "berlin"},
        capacity,
        1.0,
        allowed_queues=("a", "b", "c"),
        allowed_capacity=capacity,
        announced='{"queues":["c"]}',
    )
    shown = LIMITS.of_agent(agent)
    assert (shown.queues, shown.capacity) == (("a",), {"a": 1, "default": 3})
    assert (shown.allowed_queues, shown.announced) == (("a", "b"), "")
    assert shown.allowed_capacity == shown.capacity
    assert LIMITS.served_by(("c", "b")) and not LIMITS.served_by(("c",))


def test_a_slot_is_as_full_as_it_is() -> None:
    slot = AgentSlot("x", frozenset({"a", "c", "d"}), {}, {"default": 4, "d": 1})
    slot.leases = {
        AttemptId("own", 1): ("a", None),
        AttemptId("other", 1): ("c", 0.5),
        AttemptId("apart", 1): ("d", None),
    }
    shown = LIMITS.of_slot(slot)
    assert shown is not None and shown.queues == {"a"}
    assert sorted(key.job for key in shown.leases) == [UNNAMED, "own"]
    assert shares_of(shown)["default"] == shares_of(slot)["default"]
    assert LIMITS.of_slot(AgentSlot("y", frozenset({"c"}), {}, {})) is None


def test_attempts_of_others_have_no_names_and_are_all_there() -> None:
    held = {AttemptId("1", 1): "a", AttemptId("2", 1): "c", AttemptId("3", 9): "c"}
    shown = LIMITS.of_attempts(held, lambda queue: queue)
    assert len(shown) == 3 and [key.job for key in shown] == ["1", UNNAMED, UNNAMED]
