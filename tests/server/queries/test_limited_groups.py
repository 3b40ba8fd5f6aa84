"""Groups of which only those of some queues exist."""

from __future__ import annotations

import pytest

from remote_server.errors import NotFound, UnknownQueue
from remote_server.queries.limited_store import LimitedStore
from remote_server.store import JobFilter, Store
from tests.support.grouped import group_of, grouped
from tests.support.stored import NOW


async def test_groups_of_other_queues_are_not_there(store: Store, mine: LimitedStore) -> None:
    own = await grouped(store, spec={"queue": "a"})
    other = await grouped(store, spec={"queue": "b"})
    assert (await mine.group(own.id)).id == own.id
    assert [one.id for one in await mine.groups(9)] == [own.id]
    assert await mine.groups(9, queues=["b"]) == []
    assert {one.agent for one in await mine.members(own.id, 9)} == {"of-a", "of-ab"}
    assert set(await mine.waiting_agents(own.id)) == {"of-a", "of-ab"}
    for ask in (
        mine.group(other.id),
        mine.members(other.id, 9),
        mine.waiting_agents(other.id),
        mine.cancel_group(other.id, "", NOW),
    ):
        with pytest.raises(NotFound):
            await ask
    assert await mine.jobs(JobFilter(group=other.id)) == ([], None)
    assert len((await mine.jobs(JobFilter(group=own.id)))[0]) == 2
    ended = await mine.cancel_group(own.id, "enough", NOW)
    assert ended.cancel_requested_at is not None


async def test_a_group_is_submitted_to_their_queues_only(mine: LimitedStore) -> None:
    made, new = await mine.submit_group(group_of(spec={"queue": "a"}), NOW)
    assert new and made.size == 2
    wanted = group_of(spec={"queue": "a"})
    assert await mine.matching_agents(wanted) == ["of-a", "of-ab"]
    others = group_of(spec={"queue": "b"})
    with pytest.raises(UnknownQueue, match="a, c"):
        await mine.submit_group(others, NOW)
    with pytest.raises(UnknownQueue, match="a, c"):
        await mine.matching_agents(others)
