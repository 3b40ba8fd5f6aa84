"""An agent's capacity as places."""

from __future__ import annotations

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.capacity import AgentSlot
from remote_server.web.pages.places import places, used_of


def test_each_class_is_a_group_with_its_busy_places_first() -> None:
    found = places({"monitors": 2, "default": 2}, {"default": 1, "monitors": 2}, held=False)
    assert (found.busy, found.total, found.width) == (3, 4, 34)
    assert found.rects == ((0, True), (8, False), (20, True), (28, True))
    assert not found.many


def test_very_many_places_are_not_drawn_one_by_one() -> None:
    assert places({"default": 9}, {}, held=False).many
    found = places({"default": 500}, {"default": 250}, held=True)
    assert (found.busy, found.total, found.rects, found.held) == (250, 500, (), True)


def test_what_an_agent_holds_counts_for_its_classes() -> None:
    slot = AgentSlot("a", frozenset({"default", "m"}), {}, {"default": 2, "m": 1})
    for job, queue in (("1", "default"), ("2", "m"), ("3", "other")):
        slot.leases[AttemptId(job, 1)] = (queue, None)
    assert used_of(slot, 9) == {"default": 2, "m": 1}
    assert used_of(None, 2) == {"default": 2}
    assert used_of(None, 0) == {}
