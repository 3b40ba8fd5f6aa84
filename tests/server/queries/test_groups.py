"""Groups as shown."""

from __future__ import annotations

from remote_protocol.ids import Role
from remote_protocol.states import JobState
from remote_server.queries.groups import available, explanation, group_view, whole_group
from remote_server.queries.sources import Sources
from remote_server.store import Store
from tests.support.fake_links import FakeLinks
from tests.support.grouped import grouped, registered
from tests.support.stored import NOW, finish, started


async def test_a_group_says_whom_it_waits_for(
    store: Store, links: FakeLinks, sources: Sources
) -> None:
    await registered(store, ["a", "b", "c"])
    group = await grouped(store, halt_on_failures=2, select={"online_only": False})
    links.connect("a")
    paused = links.connect("b")
    paused.eligible, paused.reason = False, "paused: update"
    view = await whole_group(sources, group, Role.OPERATOR, 2)
    assert (view.size, view.counts[JobState.QUEUED], view.unavailable) == (3, 3, 2)
    assert [(one.agent, one.reason) for one in view.unavailable_agents] == [
        ("b", "paused: update"),
        ("c", "offline"),
    ]
    assert [one.agent for one in view.members] == ["a", "b"]
    assert view.allowed_actions == ["cancel"]
    rest = await whole_group(sources, group, Role.VIEWER, 2, view.next_cursor)
    assert [one.agent for one in rest.members] == ["c"]
    assert (rest.next_cursor, rest.allowed_actions) == (None, [])
    assert await available(links, ["a", "b", "c"]) == {"a"}
    found = await explanation(sources, "default", ["a", "b", "c"])
    assert (found.size, found.unavailable, found.agents) == (3, 2, ["a", "b", "c"])


async def test_members_have_their_ends(store: Store, sources: Sources) -> None:
    await registered(store, ["a"])
    group = await grouped(store)
    job = (await store.members(group.id, 1))[0].job
    (lease,) = await store.assign([(job, "a")], NOW)
    await finish(store, await started(store, lease), 3)
    found = await store.group(group.id)
    (member,) = (await whole_group(sources, found, None, 9)).members
    assert (member.state, member.exit_code, member.attempt) == ("failed", 3, 1)
    assert group_view(found, Role.ADMIN).allowed_actions == []
