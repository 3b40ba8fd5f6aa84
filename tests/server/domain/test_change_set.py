"""Change sets add up, and an empty one is nothing to tell."""

from __future__ import annotations

from typing import Any

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason
from remote_server.domain.change_set import (
    Cancel,
    ChangeSet,
    GroupNews,
    Held,
    Made,
    Submitted,
    hears,
)

KEY = AttemptId("j", 1)
FILLED: dict[str, Any] = {
    "jobs": {"j"},
    "ended": {"j"},
    "submitted": [Submitted("j", 1.0, None)],
    "started": [("j", 1.0, "q")],
    "queued": True,
    "deferred_until": 5.0,
    "ready_counts": {"d": 1},
    "state_counts": {("q", "queued"): 1},
    "end_counts": {("q", "exit"): 1},
    "failures": {"q": 1},
    "cancels": {KEY: Cancel("a", EndReason.CANCELLED, "enough")},
    "given_up": {KEY: ("a", "j")},
    "given_again": {AttemptId("k", 1): "a"},
    "groups": {"g": GroupNews(1, True, False)},
    "held": {("g", "a"): Held("j", 5.0)},
    "stopping": {"g"},
    "agents": {"a"},
    "removed_agents": {"b": "deleted"},
    "queues": {"q"},
    "tokens": {"t"},
    "revoked": {"t": "revoked"},
    "sessions": {"s"},
    "webhooks": {"w"},
    "webhook_counts": {"delivered": 1},
    "audited": True,
}
_ALWAYS_WITH_ANOTHER = {
    "ended",
    "submitted",
    "started",
    "deferred_until",
    "end_counts",
    "failures",
    "revoked",
    "held",
    "stopping",
}


def test_every_field_is_merged() -> None:
    made = {name for name, field in vars(ChangeSet).items() if isinstance(field, Made)}
    plain = {"queued", "deferred_until", "audited"}
    assert made | plain == FILLED.keys()
    total = ChangeSet()
    total.merge(ChangeSet(**FILLED))
    assert total == ChangeSet(**FILLED)


def test_counts_add_up_and_the_earliest_time_wins() -> None:
    total = ChangeSet()
    for demand, change, until in (("d", 1, 7.0), ("d", -1, 5.0), ("e", 1, 9.0)):
        part = ChangeSet(ready_counts={demand: change})
        part.defer(until)
        total.merge(part)
    assert total.ready_counts == {"d": 0, "e": 1}
    assert total.deferred_until == 5.0
    assert total.queued, "the dispatcher must be awake then"


@pytest.mark.parametrize("merged", [False, True])
def test_what_its_agent_has_again_was_not_given_up(merged: bool) -> None:
    changes, again = ChangeSet(given_up={KEY: ("a", "late")}), ChangeSet()
    for agent, told in (("b", {KEY: ("a", "late")}), ("a", {})):
        if merged:
            again.give_again(KEY, agent)
            changes.merge(again)
        else:
            changes.give_again(KEY, agent)
        assert changes.given_up == told
    changes.merge(ChangeSet(given_up={KEY: ("a", "late again")}))
    assert changes.given_up == {KEY: ("a", "late again")}


def test_an_empty_one_is_nothing_to_tell() -> None:
    assert not ChangeSet()


@pytest.mark.parametrize("name", sorted(FILLED.keys() - _ALWAYS_WITH_ANOTHER))
def test_any_change_is_told(name: str) -> None:
    assert ChangeSet(**{name: FILLED[name]})


def test_only_what_was_asked_for_is_there() -> None:
    changes = ChangeSet()
    assert changes.kinds == frozenset()
    changes.jobs.add("j")
    changes.queued = True
    assert changes.jobs == {"j"}
    assert changes.kinds == {"jobs", "queued"}
    assert ChangeSet().jobs == set(), "each has fields of its own"


def test_a_field_that_was_only_looked_at_is_nothing_to_tell() -> None:
    looked_at = ChangeSet(seconds=0.1)
    assert looked_at.agents == set()
    assert not looked_at
    assert looked_at == ChangeSet()
    assert looked_at != ChangeSet(agents={"a"})
    assert repr(ChangeSet(agents={"a"}, seconds=0.1)) == "ChangeSet({'agents': {'a'}})"


def test_a_mark_says_what_is_heard_of() -> None:
    @hears("jobs", "agents")
    def committed(changes: ChangeSet) -> None:
        changes.jobs.clear()

    assert getattr(committed, "kinds", None) == {"jobs", "agents"}
