"""Which members of groups may start now."""

from __future__ import annotations

import pytest

from remote_server.domain.change_set import ChangeSet, GroupNews, Held
from remote_server.domain.held_members import Able, HeldGroup, HeldMembers
from remote_server.domain.model import Demand

DEMAND = Demand("q", (), None)
ALL = Able(lambda job, demand: True, lambda demand: True)


class Agents:
    """Agents with room; it counts how often one was asked for."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.asked = 0

    @property
    def able(self) -> Able:
        def takes(job: str, demand: Demand) -> bool:
            self.asked += 1
            return demand.agent in self.names

        return Able(takes, lambda demand: True)


def held(*agents: str, room: int | None = None, priority: int = 0) -> HeldGroup:
    return HeldGroup(DEMAND, priority, room, {name: Held(f"job-{name}") for name in agents})


def members(**groups: HeldGroup) -> HeldMembers:
    found = HeldMembers(groups)
    for name, group in groups.items():
        found.learn(name, group)
    return found


def jobs(
    found: HeldMembers, agents: set[str] | None, able: Able = ALL, **more: object
) -> list[str]:
    return [one.job for one in found.candidates(agents, able, 100.0, 256, **more)]  # type: ignore[arg-type]


def news(group: str, room: int | None, stopped: bool = False) -> ChangeSet:
    return ChangeSet(groups={group: GroupNews(room, True, stopped)})


def test_as_many_as_there_is_room_for() -> None:
    found = members(g=held("a", "b", "c", room=2))
    assert jobs(found, None) == ["job-a", "job-b"]
    found.follow(news("g", 0))
    assert jobs(found, None) == []
    found.follow(news("g", 1))
    assert jobs(found, set()) == ["job-a"]
    found.follow(news("g", 1, stopped=True))
    assert jobs(found, None) == [] and not found.unsettled()


def test_an_agent_that_is_away_takes_nobodys_turn() -> None:
    found = members(g=held("a", "b", "c", room=1))
    assert jobs(found, None, Agents("c").able) == ["job-c"]


def test_an_agent_that_cannot_is_not_looked_at_again_before_it_changes() -> None:
    agents = Agents()
    found = members(g=held(*(f"a{number}" for number in range(1000))))
    assert jobs(found, None, agents.able) == []
    assert agents.asked == 1000
    for _ in range(50):
        assert jobs(found, {"other"}, agents.able) == []
    assert agents.asked == 1000
    agents.names.add("a7")
    assert jobs(found, {"a7", "other"}, agents.able) == ["job-a7"]
    assert agents.asked == 1001


def test_what_changes_while_there_is_no_room_is_not_missed() -> None:
    agents = Agents()
    found = members(g=held("a", "b", room=1))
    assert jobs(found, None, agents.able) == []
    found.follow(news("g", 0))
    agents.names.add("b")
    assert jobs(found, {"b"}, agents.able) == []
    found.follow(news("g", 1))
    assert jobs(found, set(), agents.able) == ["job-b"]


def test_members_of_a_paused_queue_wait() -> None:
    found = members(g=held("a"))
    assert jobs(found, None, paused={"q"}) == []
    assert jobs(found, set(), paused=()) == ["job-a"]


def test_a_large_member_takes_nobodys_turn() -> None:
    able = Able(lambda job, demand: True, lambda demand: demand.agent != "a")
    assert jobs(members(g=held("a", "b", room=1)), None, able) == ["job-b"]
    assert jobs(members(g=held("a", room=1)), None, able) == ["job-a"], "its agent is kept free"


def test_the_next_attempt_has_its_time() -> None:
    found = members(g=held("a", "b"))
    found.follow(ChangeSet(held={("g", "a"): Held("job-a", 130.0), ("g", "b"): None}))
    assert found.due() == 130.0
    assert jobs(found, None) == []
    later = found.candidates(set(), ALL, 131.0, 256)
    assert [one.job for one in later] == ["job-a"]
    assert found.due() is None


def test_a_clock_that_was_set_back_makes_nobody_wait_for_long() -> None:
    found = members(g=held("a"))
    found.follow(ChangeSet(held={("g", "a"): Held("job-a", 100_000.0)}))
    assert jobs(found, set()) == ["job-a"]


def test_all_groups_in_rank_order() -> None:
    found = members(g=held("b"), h=held("a"), i=held("c", priority=9))
    assert jobs(found, None) == ["job-c", "job-a", "job-b"]


def test_a_group_that_is_new_has_to_be_read() -> None:
    found = HeldMembers(())
    assert not found
    found.follow(news("g", None))
    assert found.unknown == {"g"}
    found.learn("g", held("a"))
    assert found and not found.unknown
    found.follow(ChangeSet(held={("g", "a"): None}))
    assert not found
    found.follow(ChangeSet(groups={"g": GroupNews(None, False, False)}))
    assert not found.unknown, "nothing of it waits"


@pytest.mark.parametrize("count", [1, 300])
def test_no_more_than_a_pass_takes(count: int) -> None:
    found = members(g=held(*(f"a{number:03}" for number in range(count))))
    assert len(jobs(found, None)) == min(count, 256)
    assert found.unsettled()
